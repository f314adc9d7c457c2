# frozen_string_literal: true

require "fileutils"
require "open3"
require "rbconfig"
require "rubygems/package"

# Gems with a library for each Ruby, which compile nothing when they are installed.
module NativeGem
  GEMSPEC = "datadog-native-export.gemspec"
  PACKAGES = "pkg"
  # `PLATFORM/MINOR/LIBRARY`
  LIBRARIES = "pkg/native"
  NAME = "datadog_native_export"
  RUBIES = %w[3.1 3.2 3.3 3.4].freeze
  private_constant :GEMSPEC, :NAME, :RUBIES

  class << self
    # Keeps the library that was compiled last, as that for this Ruby.
    def add_library
      file = "#{NAME}.#{RbConfig::CONFIG.fetch("DLEXT")}"
      folder = File.join(LIBRARIES, platform, RUBY_VERSION[/\A\d+\.\d+/])
      FileUtils.mkdir_p(folder)
      FileUtils.cp(File.join("lib", NAME, file), folder)
    end

    # @return [Array<String>] the gems' paths: that of the sources, and one for each platform that has libraries
    def build_all
      FileUtils.mkdir_p(PACKAGES)
      platforms = Dir.children(LIBRARIES).sort if Dir.exist?(LIBRARIES)
      [build(specification, "."), *platforms.to_a.map { |platform| build_native(platform) }]
    end

    # @return [String] the path of the gem for this machine's platform
    def path(platform = self.platform)
      File.join(PACKAGES, "#{specification.full_name}-#{platform}.gem")
    end

    # The platform as RubyGems of all versions knows it: without `gnu`, which early ones don't take, and without
    # macOS's version.
    def platform
      cpu, os = RbConfig::CONFIG.values_at("host_cpu", "host_os")
      return "#{cpu.sub("aarch64", "arm64")}-darwin" if os.include?("darwin")

      os.include?("musl") ? "#{cpu}-linux-musl" : "#{cpu}-linux"
    end

    private

    # A copy, since RubyGems returns the same object each time, and platforms change theirs.
    def specification = Gem::Specification.load(GEMSPEC).dup

    def build_native(platform)
      libraries = Dir.glob("*/*", base: File.join(LIBRARIES, platform)).sort_by { |path| version(path) }
      spec = native_specification(platform, libraries.map { |path| File.dirname(path) })
      stage = File.join(PACKAGES, "stage", platform)
      FileUtils.rm_rf(stage)
      spec.files.each { |file| copy(file, File.join(stage, file)) }
      libraries.each do |path|
        copy(File.join(LIBRARIES, platform, path), File.join(stage, "lib", NAME, path))
        spec.files += [File.join("lib", NAME, path)]
      end
      build(spec, stage)
    end

    # Its bounds are those of the libraries: other Rubies get the source gem. Those in between get this one.
    def native_specification(platform, minors)
      missing = RUBIES[RUBIES.index(minors.first)..RUBIES.index(minors.last)] - minors
      warn "#{platform}: a Ruby #{missing.join(", ")} would get a gem without a library for it" if missing.any?
      specification.tap do |spec|
        spec.platform = platform
        spec.extensions = []
        spec.dependencies.reject! { |dependency| dependency.name == "rb_sys" }
        spec.files = spec.files.grep_v(%r{\A(ext|src)/|\ACargo\.})
        spec.required_ruby_version = [">= #{minors.first}", "< #{minors.last.succ}.dev"]
      end
    end

    def version(path) = Gem::Version.new(File.dirname(path))

    def copy(from, to)
      FileUtils.mkdir_p(File.dirname(to))
      FileUtils.cp(from, to)
    end

    def build(spec, folder)
      target = File.expand_path(PACKAGES)
      Dir.chdir(folder) { FileUtils.mv(Gem::Package.build(spec), target) }
      File.join(PACKAGES, spec.file_name).tap { |path| puts "#{path}: #{describe(path, spec)}" }
    end

    def describe(path, spec)
      size = "#{(File.size(path) / 1e6).round(1)} MB"
      return size if spec.platform == Gem::Platform::RUBY

      glibc = Dir[File.join(LIBRARIES, spec.platform.to_s, "*/*.so")].map { |library| glibc_of(library) }.compact.max
      [size, "Ruby #{spec.required_ruby_version}", ("glibc #{glibc} or newer" if glibc)].compact.join(", ")
    end

    # @return [Gem::Version, nil] the oldest glibc that has all that a library asks for
    def glibc_of(library)
      symbols, = Open3.capture2("objdump", "-T", library)
      symbols.scan(/\bGLIBC_(\d[\d.]*)/).map { |(version)| Gem::Version.new(version) }.max
    rescue Errno::ENOENT
      nil
    end
  end
end
