# frozen_string_literal: true

desc "Check formatting and style of Rust and Ruby, signatures and documentation"
task lint: %i[lint:rustfmt lint:clippy lint:rubocop lint:signatures docs]

namespace :lint do
  task :rustfmt do
    sh "cargo", "fmt", "--all", "--check"
    sh "cargo", "fmt", "--manifest-path", "bench/baseline/Cargo.toml", "--check"
  end

  task :clippy do
    sh "cargo", "clippy", "--workspace", "--all-targets", "--", "-D", "warnings"
  end

  task :rubocop do
    sh "rubocop"
  end
end
