# frozen_string_literal: true

require_relative "coverage"

desc "Measure which code the Rust tests and the quick specs run (SPECS= for others), with cargo-llvm-cov"
task coverage: "spec:test_agent" do
  target = File.expand_path("target/coverage")
  lines = File.expand_path("coverage/ruby")
  specs = ENV.fetch("SPECS", "spec").split
  library = "lib/datadog_native_export/datadog_native_export.so"
  environment = instrumented(target).merge("LINE_COVERAGE" => lines)
  FileUtils.rm_rf([lines, *Dir["#{target}/*.profraw"]])
  FileUtils.mkdir_p(lines)

  sh environment, "cargo", "test", "--locked"
  sh environment, "cargo", "build", "--locked", "--package", "datadog_native_export"
  FileUtils.rm_f(library)
  FileUtils.cp("#{target}/debug/libdatadog_native_export.so", library)
  sh environment.merge("RUBYOPT" => "-r#{File.expand_path("spec/support/line_coverage.rb")}"),
     "rspec", "--format", "progress", *specs do |passed, _|
    warn "specs failed: what they would have run is missing below" unless passed
  end
  # What comes next should not run the instrumented library.
  FileUtils.rm_f(library)
  sh environment, "cargo", "llvm-cov", "report", "--failure-mode", "all", "--show-missing-lines",
     "--package", "datadog_native_export", "--package", "datadog-native-export-pipeline"
  puts LineCoverage.new(lines)
end

# Processes merge what they have seen into a few files, for there are thousands of them.
def instrumented(target)
  settings = IO.popen({ "CARGO_TARGET_DIR" => target }, %w[cargo llvm-cov show-env], &:read).scan(/^(\w+)='?(.*?)'?$/)
  abort "run: cargo install cargo-llvm-cov; rustup component add llvm-tools" if settings.empty?

  settings.to_h.merge("CARGO_TARGET_DIR" => target, "LLVM_PROFILE_FILE" => "#{target}/specs-%4m.profraw")
end
