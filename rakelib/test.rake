# frozen_string_literal: true

namespace :test do
  desc "Run the Rust tests of the pipeline (the binding's tests are the specs)"
  task :rust do
    sh "cargo", "test"
  end
end
