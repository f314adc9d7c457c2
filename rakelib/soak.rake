# frozen_string_literal: true

desc "Export 10 million spans (SPANS=) to an agent that keeps going away; see bench/soak.rb"
task soak: :compile do
  ruby File.expand_path("../bench/soak.rb", __dir__)
end
