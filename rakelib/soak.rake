# frozen_string_literal: true

desc "Everything that takes long: an agent that keeps going away, and thousands of forks"
task soak: %i[soak:outages soak:forks]

namespace :soak do
  desc "Export 10 million spans (SPANS=) to an agent that keeps going away; see bench/soak.rb"
  task outages: :compile do
    ruby File.expand_path("../bench/soak.rb", __dir__)
  end

  desc "Fork 10,000 times (FORKS=) under load with each kind of agent; see bench/fork_storm.rb"
  task forks: :compile do
    ruby File.expand_path("../bench/fork_storm.rb", __dir__)
  end
end
