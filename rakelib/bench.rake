# frozen_string_literal: true

desc "Measure speed and memory against other ways, PROCESSES=5 times (some 5 min); see docs/performance.md"
task bench: %w[bench:compile] do
  ruby "bench/run.rb"
  ruby "bench/chart.rb"
end

namespace :bench do
  desc "Compare this tree's extension with that of another checkout, BASE=path, in which it has been compiled"
  task compare: :release do
    ruby "bench/compare.rb", ENV.fetch("BASE") { abort "BASE: expected the path of a checkout" }
  end

  desc "Measure what tracing costs a Rails application (some 4 min); see bench/rails.rb"
  task rails: :release do
    ruby "bench/rails.rb"
  end

  desc "Compare instruction counts with those recorded in bench/instructions.json"
  task check: :release do
    ruby "bench/check.rb"
  end

  desc "Record instruction counts"
  task record: :release do
    ruby "bench/check.rb", "record"
  end

  # Not a part of `rake lint`: it would compile what nothing else there needs.
  desc "Check the style of bench/baseline"
  task :lint do
    sh "cargo", "clippy", "--manifest-path", "bench/baseline/Cargo.toml", "--target-dir", "target",
       "--", "-D", "warnings"
  end

  desc "Draw docs/performance.svg from bench/results.json"
  task :chart do
    ruby "bench/chart.rb"
  end

  # Figures of a development build would say nothing.
  task :release do
    ENV["RB_SYS_CARGO_PROFILE"] = "release"
    Rake::Task["compile"].invoke
    name = "datadog_native_export.so"
    next if FileUtils.identical?("target/release/lib#{name}", "lib/datadog_native_export/#{name}")

    abort "the extension was compiled with another profile: remove tmp/ and try again"
  end

  task compile: :release do
    sh "cargo", "build", "--release", "--locked", "--manifest-path", "bench/baseline/Cargo.toml",
       "--target-dir", "target"
  end
end
