# frozen_string_literal: true

require "open3"
require "rbconfig"

# A measurement of what does nothing would be the fastest of all.
RSpec.describe "bench" do
  def measure(script, prelude = "")
    path = File.expand_path("../../bench/measure/#{script}.rb", __dir__)
    program = "require '#{File.expand_path("../../bench/support/measuring", __dir__)}'
               require 'datadog/native_export'
               #{prelude}
               load '#{path}'"
    settings = { "ROUNDS" => "1", "FLUSHES" => "20", "REQUESTS" => "100", "EXPORTERS" => "2" }
    Open3.capture3(settings, RbConfig.ruby, "-e", program)
  end

  %w[sending extras objects queue latency memory].each do |script|
    it "measures #{script}" do
      output, errors, status = measure(script)
      expect([errors, status.success?]).to eq ["", true]
      figures = JSON.parse(output).values.flat_map { |value| value.is_a?(Hash) ? value.values : value }
      expect(figures).to all be_a(Numeric)
    end

    it "fails to measure #{script} when nothing is sent" do
      output, errors, status = measure(script, "class Datadog::NativeExport::Exporter; def export(_) = true; end")
      expect([output, status.success?]).to eq ["", false]
      expect(errors).to match(/received 0 spans|not all was exported/)
    end

    it "fails to measure #{script} when nothing is lowered" do
      nothing = "class Datadog::NativeExport::TraceChunks; def push_trace(_) = true; end"
      output, _, status = measure(script, nothing)
      expect([output, status.success?]).to eq ["", false]
    end
  end
end
