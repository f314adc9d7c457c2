# frozen_string_literal: true

# What a signature's check can follow: calls in the process that runs the specs, with arguments of the right types.
signature_specs = FileList[
  "spec/span/*_spec.rb", "spec/trace_chunks_spec.rb", "spec/push_trace/traces_spec.rb", "spec/environment_spec.rb",
  "spec/exporter/*_spec.rb", "spec/testing/{agent,refusals,stop}_spec.rb",
  "spec/tracer_spec.rb"
]

namespace :lint do
  task :signatures do
    # Early versions name each class that they look at.
    output = IO.popen([Gem.ruby, Gem.bin_path("rbs", "rbs"), "-I", "sig", "validate", { err: %i[child out] }], &:read)
    abort output unless Process.last_status.success?
  end
end

namespace :spec do
  desc "Run specs in which each call of this gem is checked against its signature in sig/"
  task signatures: :compile do
    environment = {
      "RUBYOPT" => "#{ENV.fetch("RUBYOPT", nil)} -rrbs/test/setup",
      "RBS_TEST_OPT" => "-I #{File.expand_path("../sig", __dir__)}",
      "RBS_TEST_TARGET" => "Datadog::NativeExport,Datadog::NativeExport::*",
      "RBS_TEST_LOGLEVEL" => "error"
    }
    sh environment, "rspec", "--format", "progress", "--tag", "~untyped", *signature_specs
  end
end
