# frozen_string_literal: true

require "fileutils"
require "json"
require "open3"
require "rbconfig"
require "rubygems/package"
require "tmpdir"

# What a user gets: the gem as it is built from this tree, installed where nothing of this tree is loaded.
RSpec.describe "the packaged gem" do
  root = File.expand_path("../..", __dir__)

  # What Bundler and `rake compile` leave in the environment would make the installation use this tree's code,
  # and clean this tree's target folder.
  isolated = ENV.keys.grep(/\A(BUNDLE|GEM_|RB_SYS_|RUBYLIB|RUBYOPT|MAKE)/).to_h { |name| [name, nil] }

  def run(env, *command, chdir:)
    output, status = Open3.capture2e(env, *command, chdir:)
    raise "#{command.join(" ")} failed:\n#{output}" unless status.success?

    output
  end

  # rb_sys is all that has to be there before. It is copied because `gem install` hides other gem folders
  # from extconf.rb.
  def copy_gem(name, gem_home)
    spec = Gem::Specification.find_by_name(name)
    return if spec.default_gem?

    { spec.full_gem_path => "gems/#{spec.full_name}",
      spec.spec_file => "specifications/#{spec.full_name}.gemspec" }.each do |from, to|
      FileUtils.mkdir_p(File.dirname(File.join(gem_home, to)))
      FileUtils.cp_r(from, File.join(gem_home, to))
    end
    spec.runtime_dependencies.each { |dependency| copy_gem(dependency.name, gem_home) }
  end

  # Stands in for Cargo during the installation and starts it with the dependencies that the tree has compiled
  # already, which saves minutes. This project's own crates are compiled from the installed sources.
  def write_cargo(path, compiled)
    File.write(path, <<~SH)
      #!/bin/sh
      if [ -d "#{compiled}/deps" ] && [ ! -e target/release ]; then
        mkdir -p target/release
        cp -Rp "#{compiled}/.fingerprint" "#{compiled}/build" "#{compiled}/deps" target/release
        rm -rf target/release/.fingerprint/datadog*
      fi
      exec cargo "$@"
    SH
    File.chmod(0o755, path)
  end

  before(:context) do
    @directory = Dir.mktmpdir
    @gem_home = File.join(@directory, "home")
    @package_file = File.join(@directory, "datadog-native-export.gem")
    cargo = File.join(@directory, "cargo")
    copy_gem("rb_sys", @gem_home)
    write_cargo(cargo, File.join(root, "target/release"))

    gem = [Gem.ruby, "-S", "gem"]
    run(isolated, *gem, "build", "datadog-native-export.gemspec", "-o", @package_file, chdir: root)
    @package = Gem::Package.new(@package_file).spec
    run(isolated.merge("GEM_HOME" => @gem_home, "CARGO" => cargo),
        *gem, "install", "--local", "--no-document", @package_file, chdir: @directory)
    @installed = File.join(@gem_home, "gems", @package.full_name)
  end

  after(:context) { FileUtils.rm_rf(@directory) }

  it "contains nothing but what builds, types and documents it" do
    expect(@package.files).to all match(
      %r{\A(Cargo\.(toml|lock)
           |(ext/datadog_native_export/)?src/.+\.rs
           |ext/datadog_native_export/(Cargo\.toml|extconf\.rb|build\.rs|build/\w+\.rb)
           |exe/datadog-native-export
           |lib/.+\.rb
           |sig/.+\.rbs
           |docs/[\w-]+\.(md|svg)
           |(README|CHANGELOG|CONTRIBUTING)\.md|LICENSE|THIRD-PARTY-NOTICES|\.yardopts)\z}x
    )
  end

  it "has one version in Ruby and in Rust" do
    metadata = run({}, "cargo", "metadata", "--no-deps", "--format-version=1", chdir: root)
    versions = JSON.parse(metadata).fetch("packages").map { |package| package.fetch("version") }

    expect(versions.uniq).to eq [@package.version.to_s]
  end

  it "leaves only the library and what RubyGems itself writes after the installation" do
    left = Dir.glob("**/*", File::FNM_DOTMATCH, base: @installed)
              .select { |path| File.file?(File.join(@installed, path)) } - @package.files

    expect(left).to include "lib/datadog_native_export/datadog_native_export.#{RbConfig::CONFIG["DLEXT"]}"
    expect(left).to all match(
      %r{\A(lib/datadog_native_export/datadog_native_export\.\w+
           |ext/datadog_native_export/(Makefile|mkmf\.log|gem_make\.out|\.sitearchdir\..*time))\z}x
    )
  end

  it "has the command" do
    env = isolated.merge("GEM_HOME" => @gem_home, "GEM_PATH" => Gem.path.join(File::PATH_SEPARATOR))

    expect(run(env, Gem.ruby, File.join(@gem_home, "bin/datadog-native-export"), "--help", chdir: @directory))
      .to match(/\Ausage: datadog-native-export doctor/)
  end

  it "installs without the extension where that isn't wanted" do
    home = File.join(@directory, "without")
    copy_gem("rb_sys", home)
    env = isolated.merge("GEM_HOME" => home, "DD_NO_NATIVE_EXPORT_EXTENSION" => "1", "CARGO" => "false")
    run(env, Gem.ruby, "-S", "gem", "install", "--local", "--no-document", @package_file, chdir: @directory)
    used = isolated.merge("GEM_HOME" => home, "GEM_PATH" => home)
    script = 'require "datadog/native_export"; puts Datadog::NativeExport.load_error.message'

    expect(run(used, Gem.ruby, "-e", script, chdir: @directory)).to start_with("no native extension for ruby")
    expect(Dir.glob("#{home}/gems/#{@package.full_name}/**/*.{so,bundle,o}")).to be_empty
  end

  it "exports a span to an agent" do
    script = <<~RUBY
      require "json"
      require "datadog/native_export"
      require "datadog/native_export/testing"

      module Datadog::NativeExport
        Testing::Agent.start do |agent|
          exporter = Exporter.new(agent_url: agent.url)
          chunks = TraceChunks.new
          chunks.begin_chunk <<
            Span.new(name: "packaged", trace_id: 1, span_id: 2, start: 1_700_000_000_000_000_000, duration: 3)
          exporter.export(chunks)
          puts JSON.generate(
            shut_down: exporter.shutdown(timeout: 5),
            sent: exporter.stats[:spans_sent],
            arrived: agent.spans.map { |span| span["name"] },
            loaded: $LOADED_FEATURES.grep(/native_export/)
          )
        end
      end
    RUBY
    env = isolated.merge("GEM_HOME" => @gem_home, "GEM_PATH" => Gem.path.join(File::PATH_SEPARATOR))
    report = JSON.parse(run(env, Gem.ruby, "-e", script, chdir: @directory), symbolize_names: true)

    expect(report).to include(shut_down: true, sent: 1, arrived: ["packaged"])
    expect(report[:loaded]).to all start_with(File.realpath(@gem_home))
  end
end
