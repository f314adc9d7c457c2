# frozen_string_literal: true

require_relative "../rakelib/release_check"

# What the gem promises without being built; spec/slow/packaging_spec.rb builds and installs it.
RSpec.describe "datadog-native-export.gemspec" do
  root = File.expand_path("..", __dir__)
  gem = Gem::Specification.load("#{root}/datadog-native-export.gemspec")

  # Paths in the repository that match.
  def there(root, *patterns) = Dir.glob(patterns, base: root)

  it "has what the package is for: code, types, documents, licences and programs" do
    promised = there(root, "lib/**/*.rb", "{src,ext}/**/*.rs", "sig/**/*.rbs", "docs/*", "exe/*") +
               %w[Cargo.toml Cargo.lock README.md CHANGELOG.md LICENSE THIRD-PARTY-NOTICES .yardopts]

    expect(gem.files).to include(*promised)
    expect(gem.executables).to match_array(there(root, "exe/*").map { |path| File.basename(path) })
  end

  it "has the pictures that documents show, and the documents that .yardopts names" do
    pictures = there(root, "docs/*.md").flat_map do |path|
      File.read(File.join(root, path)).scan(/!\[.*?\]\((?!http)(.+?)\)/).map { |(target)| "docs/#{target}" }
    end
    documents = File.readlines(File.join(root, ".yardopts"), chomp: true).grep_v(/^-/).flat_map do |line|
      there(root, line)
    end

    expect(pictures).not_to be_empty
    expect(gem.files).to include(*pictures, *documents)
  end

  it "has nothing that only this repository needs" do
    expect(gem.files.grep(%r{\A(spec|bench|rakelib|bin|\.github)/|rust-toolchain|deny\.toml|\.so\z})).to be_empty
  end

  it "has complete metadata, with one homepage" do
    cargo = File.read("#{root}/Cargo.toml")

    expect(gem.metadata.keys)
      .to include("source_code_uri", "changelog_uri", "documentation_uri", "bug_tracker_uri", "rubygems_mfa_required")
    expect(gem.metadata.values_at("source_code_uri", "changelog_uri", "bug_tracker_uri"))
      .to all start_with(gem.homepage)
    expect(cargo[/^repository = "(.*)"/, 1]).to eq(gem.homepage)
    expect(cargo[/^version = "(.*)"/, 1]).to eq(gem.version.to_s)
  end

  describe "release" do
    let(:changelog) { "# Changelog\n\n## [#{gem.version}] - 2026-12-01\n" }

    def with_homepage(gem, homepage) = gem.dup.tap { |copy| copy.homepage = homepage }

    it "is refused while the homepage is made up, by the task that the workflow runs" do
      _, errors, status = capture({ "TAG" => nil }, RbConfig.ruby, "-S", "rake", "--rakefile", "#{root}/Rakefile",
                                  "release:check")

      expect(status.success?).to be(ReleaseCheck.problems(gem, changelog: File.read("#{root}/CHANGELOG.md")).empty?)
      expect(errors).to include("homepage: #{gem.homepage} is made up") unless status.success?
    end

    it "is refused for an undated version, and for a tag of another" do
      real = with_homepage(gem, "https://github.com/somebody/datadog-native-export")

      expect(ReleaseCheck.problems(real, changelog:, tag: "v#{gem.version}")).to be_empty
      expect(ReleaseCheck.problems(real, changelog: "## [#{gem.version}] - unreleased"))
        .to contain_exactly(/CHANGELOG/)
      expect(ReleaseCheck.problems(real, changelog:,
                                         tag: "v9.9.9")).to contain_exactly("tag: expected v#{gem.version}, got v9.9.9")
      expect(ReleaseCheck.problems(with_homepage(gem, "https://repository.example/x"), changelog:))
        .to contain_exactly(/\Ahomepage: /)
    end
  end
end
