# frozen_string_literal: true

require "open3"
require "rbconfig"
require "shellwords"
require "tmpdir"

module Build
  # The programs that compile the extension.
  module Programs
    class << self
      # @return [String, nil] the path of a program
      def find(name)
        return (name if File.executable?(name)) if name.include?("/")

        ENV.fetch("PATH", "").split(File::PATH_SEPARATOR)
           .map { |folder| File.join(folder, name) }
           .find { |path| File.file?(path) && File.executable?(path) }
      end

      # Compiles a program: a compiler without the C library's headers and start files, as some systems have, is none.
      #
      # @return [String, nil] why nothing can be compiled
      def c_compiler_problem
        # rb_sys links with the compiler that Ruby was built with.
        compiler = Shellwords.split(RbConfig.expand(RbConfig::MAKEFILE_CONFIG.fetch("CC").dup))
        return "no #{compiler.first} on the PATH" unless find(compiler.first)

        Dir.mktmpdir do |folder|
          source = File.join(folder, "main.c")
          File.write(source, "#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n")
          output, status = Open3.capture2e(*compiler, source, "-o", File.join(folder, "main"))
          "#{compiler.first}: #{summary(output)}" unless status.success?
        end
      end

      # @param minimum [String] the oldest version that will do
      # @return [String, nil] why a program of Rust's can't be used
      def version_problem(program, minimum)
        return "no #{program} on the PATH" unless find(program)

        # A toolchain that isn't installed is not for this call to fetch.
        output, status = Open3.capture2e({ "RUSTUP_AUTO_INSTALL" => "0" }, program, "--version")
        version = output[/\A\w+ (\d+\.\d+\.\d+)/, 1] if status.success?
        if version.nil? then "#{program} --version: #{summary(output)}"
        elsif Gem::Version.new(version) < Gem::Version.new(minimum) then "#{program} is #{version}"
        end
      end

      # @return [String, nil] the folder where rustup puts cargo, when it is there
      def cargo_home_bin
        bin = File.join(ENV.fetch("CARGO_HOME") { File.join(Dir.home, ".cargo") }, "bin")
        bin if File.executable?(File.join(bin, "cargo"))
      end

      private

      def summary(output)
        lines = output.lines.map(&:strip).reject(&:empty?)
        lines.grep(/error/i).first || lines.first || "no output"
      end
    end
  end
end
