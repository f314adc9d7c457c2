# frozen_string_literal: true

require_relative "lib/datadog/native_export/version"

Gem::Specification.new do |spec|
  spec.name = "datadog-native-export"
  spec.version = Datadog::NativeExport::VERSION
  spec.authors = ["datadog-native-export contributors"]
  spec.summary = "Exports traces to the Datadog agent from Rust, off the Ruby threads"
  spec.description = "A native extension that queues, encodes and sends traces with Datadog's own Rust " \
                     "libraries (libdatadog), so that a request thread neither serializes nor waits."
  # Made up, until there is a repository: `rake release:check` refuses to release with this one.
  spec.homepage = "https://repository.example/datadog-native-export"
  spec.license = "Apache-2.0"
  # From the oldest to the newest that `rake matrix` runs.
  spec.required_ruby_version = [">= 3.1", "< 4.0.dev"]

  spec.metadata = {
    "source_code_uri" => spec.homepage,
    "changelog_uri" => "#{spec.homepage}/blob/main/CHANGELOG.md",
    "documentation_uri" => "https://www.rubydoc.info/gems/#{spec.name}/#{spec.version}",
    "bug_tracker_uri" => "#{spec.homepage}/issues",
    "rubygems_mfa_required" => "true"
  }

  # Globs, not `git ls-files`: the gem is also built from archives, and where Git isn't installed.
  spec.files = Dir.chdir(__dir__) do
    Dir[
      "Cargo.{toml,lock}", "src/**/*.rs", "ext/**/{Cargo.toml,*.rb,*.rs}",
      "exe/*", "lib/**/*.rb", "sig/**/*.rbs",
      "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "THIRD-PARTY-NOTICES", "docs/*.{md,svg}",
      ".yardopts"
    ].sort
  end
  spec.bindir = "exe"
  spec.executables = ["datadog-native-export"]
  spec.extensions = ["ext/datadog_native_export/extconf.rb"]

  # extconf.rb needs it, and RubyGems installs nothing but runtime dependencies before it builds.
  spec.add_dependency "rb_sys", "~> 0.9"
end
