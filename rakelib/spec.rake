# frozen_string_literal: true

require "rspec/core/rake_task"

RSpec::Core::RakeTask.new(spec: %i[compile spec:test_agent])

namespace :spec do
  # Specs against Datadog's test agent run when this is set: see `bin/setup --test`.
  task :test_agent do
    executable = File.expand_path("../.tools/venv/bin/ddapm-test-agent", __dir__)
    ENV["DDAPM_TEST_AGENT"] ||= executable if File.executable?(executable)
  end
end
