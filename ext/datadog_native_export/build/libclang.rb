# frozen_string_literal: true

require "open3"
require "rbconfig"

module Build
  # libclang, with which bindgen reads Ruby's headers. It is looked for where bindgen looks for it, see the crate
  # clang-sys, `build/common.rs` and `build/dynamic.rs`.
  module Libclang
    LINUX_FOLDERS = %w[
      /usr/local/llvm*/lib* /usr/local/lib*/*/* /usr/local/lib*/* /usr/local/lib* /usr/lib*/*/* /usr/lib*/* /usr/lib*
    ].freeze
    MACOS_FOLDERS = %w[
      /usr/local/opt/llvm*/lib/llvm*/lib /usr/local/opt/llvm*/lib /Library/Developer/CommandLineTools/usr/lib
      /Applications/Xcode.app/Contents/Developer/Toolchains/XcodeDefault.xctoolchain/usr/lib
    ].freeze
    private_constant :LINUX_FOLDERS, :MACOS_FOLDERS

    class << self
      # @return [String, nil] where it was looked for in vain
      def problem
        path = ENV.fetch("LIBCLANG_PATH", nil)
        if path
          "none at LIBCLANG_PATH=#{path}" unless file?(path) || in?(path)
        elsif folders.none? { |folder| in?(folder) } && !bundled?
          "none where bindgen looks, and LIBCLANG_PATH isn't set"
        end
      end

      private

      def macos? = RbConfig::CONFIG["host_os"].include?("darwin")

      def names
        macos? ? %w[libclang.dylib] : %w[libclang.so libclang-*.so libclang.so.* libclang-*.so.*]
      end

      # libclang-cpp is another library.
      def file?(path)
        File.file?(path) && !path.include?("-cpp.") && names.any? { |name| File.fnmatch?(name, File.basename(path)) }
      end

      def in?(folder) = Dir.glob("#{folder}/{#{names.join(",")}}").any? { |path| file?(path) }

      def folders
        paths = ENV.values_at("LD_LIBRARY_PATH", "LIBRARY_PATH").compact
        [*paths.flat_map { |path| path.split(File::PATH_SEPARATOR) }, *llvm_folders,
         *(macos? ? [*xcode_folder, *MACOS_FOLDERS] : LINUX_FOLDERS)]
      end

      def llvm_folders
        prefix = output_of(ENV.fetch("LLVM_CONFIG_PATH", "llvm-config"), "--prefix")
        prefix ? %w[bin lib lib64].map { |name| File.join(prefix, name) } : []
      end

      def xcode_folder
        developer = output_of("xcode-select", "--print-path")
        File.join(developer, "Toolchains/XcodeDefault.xctoolchain/usr/lib") if developer
      end

      def output_of(*command)
        output, status = Open3.capture2(*command, err: File::NULL)
        output.lines.first&.chomp if status.success?
      rescue SystemCallError
        nil
      end

      # rb_sys takes that of the gem libclang where it is installed.
      def bundled?
        require "libclang"
        true
      rescue LoadError
        false
      end
    end
  end
end
