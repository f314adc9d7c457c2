# frozen_string_literal: true

require "fileutils"
require "shellwords"
require "tmpdir"

# What `gem install` runs first, on machines that lack something.
RSpec.describe "extconf.rb" do
  compiler = RbConfig.expand(RbConfig::MAKEFILE_CONFIG["CC"].dup).shellsplit.first
  minimum_rust = File.read(File.expand_path("../Cargo.toml", __dir__))[/^rust-version = "(.+)"/, 1]

  around do |example|
    Dir.mktmpdir do |folder|
      @folder = folder
      FileUtils.mkdir_p([path("bin"), path("home"), path("build")])
      example.run
    end
  end

  def path(*names) = File.join(@folder, *names)

  # A script in the place of a program.
  def fake(name, script)
    File.write(path("bin", name), "#!/bin/sh\n#{script}\n")
    File.chmod(0o755, path("bin", name))
  end

  def link(name)
    source = ENV["PATH"].split(":").map { |folder| File.join(folder, name) }.find { |file| File.executable?(file) }
    File.symlink(source, path("bin", name)) if source
  end

  # The machine: the C compiler and its tools, make, Rust and Debian's package manager, and nothing else.
  let(:programs) { [compiler, "as", "ld", "sh", "make", "cargo", "rustc", "apt-get"] }

  # Runs extconf.rb with only {programs} on the PATH.
  #
  # @return [Array(String, Boolean)] what it says, and whether it has written a Makefile
  def configure(without: [], env: {}, ruby: "")
    (programs - without).each { |name| link(name) unless File.exist?(path("bin", name)) }
    rustup_home = ENV.fetch("RUSTUP_HOME") { File.join(Dir.home, ".rustup") }
    environment = { "PATH" => path("bin"), "HOME" => path("home"), "CARGO_HOME" => nil, "RUSTUP_HOME" => rustup_home,
                    "CARGO" => nil, "MAKE" => nil, "make" => nil, **env }
    extconf = File.expand_path("../ext/datadog_native_export/extconf.rb", __dir__)
    output, errors, status = capture(environment, RbConfig.ruby, "-C", path("build"),
                                     "-e", "#{ruby}\nload #{extconf.inspect}")
    [output + errors, status.success? && File.exist?(path("build", "Makefile"))]
  end

  def expect_missing(result, *texts)
    text, configured = result
    expect(configured).to be(false)
    expect(text).to include(*texts)
    expect(text).to include("DD_NO_NATIVE_EXPORT_EXTENSION=1 gem install datadog-native-export")
    expect(text.lines.size).to be < 12
  end

  it "writes a Makefile that never installs Rust, not even where RubyGems finds no cargo on the PATH" do
    link("cargo")
    FileUtils.mv(path("bin", "cargo"), path("home", "cargo"))
    _, configured = configure(without: ["cargo"],
                              env: { "CARGO" => path("home", "cargo"), "SOURCE_DATE_EPOCH" => "1" })

    expect(configured).to be(true)
    expect(File.read(path("build", "Makefile"))).to match(/^RB_SYS_FORCE_INSTALL_RUST_TOOLCHAIN \?= false$/)
  end

  it "says how to get Rust, and fetches nothing, where there is none" do
    fake("curl", "echo curl was called >#{path("fetched")}")

    expect_missing(configure(without: %w[cargo rustc], env: { "SOURCE_DATE_EPOCH" => "1" }),
                   "Rust #{minimum_rust} or newer (no cargo on the PATH)", "https://sh.rustup.rs")
    expect(File).not_to exist(path("fetched"))
  end

  it "names the folder of a cargo that isn't on the PATH" do
    FileUtils.mkdir_p(path("home", ".cargo", "bin"))
    FileUtils.touch(path("home", ".cargo", "bin", "cargo"))
    File.chmod(0o755, path("home", ".cargo", "bin", "cargo"))

    expect_missing(configure(without: %w[cargo rustc]), "export PATH=\"#{path("home", ".cargo", "bin")}:$PATH\"")
  end

  it "says which Rust it found where that is too old" do
    fake("cargo", "echo 'cargo 1.63.0'")
    fake("rustc", "echo 'rustc 1.63.0 (4b91a6ea7 2022-08-08)'")

    expect_missing(configure, "Rust #{minimum_rust} or newer (cargo is 1.63.0)")
  end

  it "quotes a rustup that has no toolchain" do
    %w[cargo rustc].each { |name| fake(name, "echo 'error: rustup could not choose a version' >&2; exit 1") }
    fake("rustup", "exit 1")

    expect_missing(configure, "cargo --version: error: rustup could not choose a version",
                   "rustup update stable && rustup default stable")
  end

  it "says that there is no C compiler" do
    expect_missing(configure(without: [compiler]), "a C compiler (no #{compiler} on the PATH)",
                   "apt-get install -y gcc libc6-dev\n")
  end

  it "says that the C compiler has no C library" do
    fake(compiler, "echo 'main.c:1:10: fatal error: stdlib.h: No such file or directory' >&2; exit 1")

    expect_missing(configure, "a C compiler (#{compiler}: main.c:1:10: fatal error: stdlib.h")
  end

  it "says that there is no make" do
    expect_missing(configure(without: ["make"]), "make (no make on the PATH)", "apt-get install -y make\n")
  end

  it "says that there is no libclang" do
    expect_missing(configure(env: { "LIBCLANG_PATH" => path("home") }),
                   "libclang (none at LIBCLANG_PATH=#{path("home")})", "apt-get install -y libclang-dev\n")
  end

  it "says that Ruby's headers are missing" do
    ruby = 'require "rbconfig"; RbConfig::CONFIG["rubyhdrdir"] = "/nowhere"'

    expect_missing(configure(ruby:), "Ruby's headers (no /nowhere/ruby.h)", "apt-get install -y ruby-dev\n")
  end

  it "says all of it at once, with one command for what the system's packages have" do
    expect_missing(configure(without: [*programs, "sh"] - ["apt-get"], env: { "LIBCLANG_PATH" => path("home") }),
                   "a C compiler (", "make (", "libclang (", "Rust #{minimum_rust} or newer (",
                   "apt-get install -y gcc libc6-dev make libclang-dev\n")
  end

  { "dnf" => "dnf install -y gcc make clang-devel", "apk" => "apk add gcc musl-dev make clang-dev" }
    .each do |manager, command|
      it "names the packages for #{manager}" do
        fake(manager, "exit 1")

        expect_missing(configure(without: programs, env: { "LIBCLANG_PATH" => path("home") }), "#{command}\n")
      end
    end

  it "refuses another engine" do
    ruby = 'Object.send(:remove_const, :RUBY_ENGINE); RUBY_ENGINE = "truffleruby"'

    expect_missing(configure(ruby:), "it is for CRuby, and this is truffleruby")
  end

  it "refuses a Ruby that is older than the gem allows" do
    gemspec = Gem::Specification.load(File.expand_path("../datadog-native-export.gemspec", __dir__))
    oldest = gemspec.required_ruby_version.requirements.assoc(">=").last
    ruby = 'Object.send(:remove_const, :RUBY_VERSION); RUBY_VERSION = "3.0.7"'

    expect_missing(configure(ruby:), "it is for Ruby #{oldest} and newer, and this is 3.0.7")
  end

  it "refuses another platform" do
    ruby = 'require "rbconfig"; RbConfig::CONFIG["host_os"] = "mingw32"'

    expect_missing(configure(ruby:), "it is for Linux and macOS on x86_64 and ARM64, and this is mingw32 on")
  end

  it "builds nothing, and looks for nothing, where the extension isn't wanted" do
    text, configured = configure(without: programs, env: { "DD_NO_NATIVE_EXPORT_EXTENSION" => "1" })

    expect(configured).to be(true)
    expect(text).to eq("DD_NO_NATIVE_EXPORT_EXTENSION is set: no extension is built\n")
    _, _, status = capture("make", "-C", path("build"), "clean", "all", "install")
    expect(status).to be_success
  end
end
