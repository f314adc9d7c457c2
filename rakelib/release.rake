# frozen_string_literal: true

require_relative "release_check"

namespace :release do
  desc "Fail unless this version can be released (TAG=v0.1.0 is compared, too)"
  task :check do
    gem = Gem::Specification.load("datadog-native-export.gemspec")
    problems = ReleaseCheck.problems(gem, changelog: File.read("CHANGELOG.md"), tag: ENV.fetch("TAG", nil))
    abort problems.join("\n") unless problems.empty?
  end
end
