# frozen_string_literal: true

require "rbconfig"
require_relative "libclang"
require_relative "programs"

module Build
  # What compiling the extension takes. All of it is looked for before anything is compiled: Cargo would tell of the
  # first thing that is missing minutes later, in hundreds of lines.
  class Requirements
    MINIMUM_RUBY = "3.1"
    MINIMUM_RUST = File.read(File.expand_path("../../../Cargo.toml", __dir__))[/^rust-version = "(.+)"/, 1]

    # Packages by the program that installs them.
    PACKAGES = {
      "apt-get" => { c_compiler: "gcc libc6-dev", make: "make", ruby_headers: "ruby-dev", libclang: "libclang-dev" },
      "dnf" => { c_compiler: "gcc", make: "make", ruby_headers: "ruby-devel", libclang: "clang-devel" },
      "apk" => { c_compiler: "gcc musl-dev", make: "make", ruby_headers: "ruby-dev", libclang: "clang-dev" }
    }.freeze
    INSTALL = { "apt-get" => "apt-get install -y", "dnf" => "dnf install -y", "apk" => "apk add" }.freeze
    NAMES = {
      c_compiler: "a C compiler",
      make: "make",
      ruby_headers: "Ruby's headers",
      libclang: "libclang",
      rust: "Rust #{MINIMUM_RUST} or newer"
    }.freeze

    # @return [String, nil] what is missing and how to get it, nil when nothing is
    def problem
      reason = unsupported
      return paragraph("datadog-native-export can't be compiled here: #{reason}.") if reason

      missing = NAMES.keys.to_h { |name| [name, __send__(name)] }.compact
      return if missing.empty?

      list = missing.map { |name, found| "#{NAMES.fetch(name)} (#{found})" }
      paragraph("datadog-native-export can't be compiled yet. What is missing: #{list.join("; ")}.", *cures(missing))
    end

    private

    def paragraph(text, *cures)
      [nil, text, *cures,
       "Or install without the native extension, and dd-trace-rb keeps its own transport:",
       "    DD_NO_NATIVE_EXPORT_EXTENSION=1 gem install datadog-native-export", nil].join("\n")
    end

    # What is read of objects is read as CRuby has it.
    def unsupported
      return "it is for CRuby, and this is #{RUBY_ENGINE}" unless RUBY_ENGINE == "ruby"
      if Gem::Version.new(RUBY_VERSION) < Gem::Version.new(MINIMUM_RUBY)
        return "it is for Ruby #{MINIMUM_RUBY} and newer, and this is #{RUBY_VERSION}"
      end

      cpu, system = RbConfig::CONFIG.values_at("host_cpu", "host_os")
      return if cpu.match?(/\A(x86_64|aarch64|arm64)\z/) && system.match?(/linux|darwin/)

      "it is for Linux and macOS on x86_64 and ARM64, and this is #{system} on #{cpu}"
    end

    # --- Each of these returns what was found instead, nil where there is nothing to do.

    def c_compiler = Programs.c_compiler_problem

    # The same program that RubyGems calls afterwards.
    def make
      make = (ENV["MAKE"] || ENV["make"] || "make").split.first
      "no #{make} on the PATH" unless Programs.find(make)
    end

    def ruby_headers
      header = File.join(RbConfig::CONFIG.fetch("rubyhdrdir"), "ruby.h")
      "no #{header}" unless File.exist?(header)
    end

    def libclang = Libclang.problem

    def rust
      %w[cargo rustc].each do |name|
        problem = Programs.version_problem(ENV.fetch(name.upcase, name), MINIMUM_RUST)
        return problem if problem
      end
      nil
    end

    # --- What to do about it, a command in each line.

    def cures(missing)
      [*package_cure(missing.keys - [:rust]), *(rust_cure if missing.key?(:rust))].flat_map do |title, command|
        ["#{title}:", "    #{command}"]
      end
    end

    def package_cure(names)
      return if names.empty?
      return [["Packages", "xcode-select --install"]] if RbConfig::CONFIG["host_os"].include?("darwin")

      manager = PACKAGES.keys.find { |program| Programs.find(program) }
      return [["Packages of your system", NAMES.values_at(*names).join(", ")]] unless manager

      [["Packages", "#{INSTALL.fetch(manager)} #{PACKAGES.fetch(manager).values_at(*names).join(" ")}"]]
    end

    def rust_cure
      command =
        if !Programs.find("cargo") && Programs.cargo_home_bin
          "export PATH=\"#{Programs.cargo_home_bin}:$PATH\""
        elsif Programs.find("rustup")
          "rustup update stable && rustup default stable"
        else
          "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
        end
      [["Rust (see https://rustup.rs)", command]]
    end
  end
end
