# frozen_string_literal: true

require "rspec/core/rake_task"

desc "Everything that takes long: an agent that keeps going away, thousands of forks, of spans and of answers"
task soak: %i[soak:outages soak:forks soak:generated]

namespace :soak do
  desc "Export 10 million spans (SPANS=) to an agent that keeps going away; see bench/soak.rb"
  task outages: :compile do
    ruby File.expand_path("../bench/soak.rb", __dir__)
  end

  desc "Fork 10,000 times (FORKS=) under load with each kind of agent; see bench/fork_storm.rb"
  task forks: :compile do
    ruby File.expand_path("../bench/fork_storm.rb", __dir__)
  end

  # Each names its seed, which can be set, too.
  generated_specs = FileList["spec/integration/hostile_spec.rb", "spec/slow/answers_spec.rb"]

  desc "Send 10,000 generated spans (HOSTILE_SPANS=), and get 3,000 generated answers (ANSWERS=)"
  RSpec::Core::RakeTask.new(generated: %i[compile spec:test_agent generated:budget]) do |task|
    task.pattern = generated_specs
  end

  task "generated:budget" do
    ENV["HOSTILE_SPANS"] ||= "10000"
    ENV["ANSWERS"] ||= "3000"
  end
end
