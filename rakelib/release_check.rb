# frozen_string_literal: true

require "uri"

# What keeps a version from being released.
module ReleaseCheck
  class << self
    # @param gem [Gem::Specification]
    # @param changelog [String]
    # @param tag [String, nil] what CI was started for
    # @return [Array<String>] problems
    def problems(gem, changelog:, tag: nil)
      [made_up(gem.homepage), undated(gem.version, changelog), wrong_tag(gem.version, tag)].compact
    end

    private

    # Nobody can register a name below .example (RFC 2606).
    def made_up(homepage)
      "homepage: #{homepage} is made up, see datadog-native-export.gemspec" if URI(homepage).host.end_with?(".example")
    end

    def undated(version, changelog)
      return if changelog.match?(/^## \[#{Regexp.escape(version.to_s)}\] - \d{4}-\d\d-\d\d$/)

      "CHANGELOG.md: expected a heading with the date of #{version}"
    end

    def wrong_tag(version, tag)
      "tag: expected v#{version}, got #{tag}" unless tag.nil? || tag == "v#{version}"
    end
  end
end
