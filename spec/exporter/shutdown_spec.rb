# frozen_string_literal: true

RSpec.describe Datadog::NativeExport::Exporter, "#shutdown" do
  include_context "with an agent"

  it "sends what is queued, then closes; calling it again is harmless" do
    exporter = build_exporter(flush_interval: 3_600)
    exporter.export(build_chunks(3))

    expect(exporter.shutdown(timeout: 5)).to be(true)
    expect(agent.spans.size).to eq(3)
    expect(exporter).to be_closed
    expect(exporter.shutdown(timeout: 5)).to be(true)
  end

  it "returns false when the time runs out" do
    hung_agent do |url|
      exporter = build_exporter(url)
      exporter.export(build_chunks(1))

      expect(exporter.shutdown(timeout: 0.1)).to be(false)
      expect(exporter).to be_closed
    end
  end

  it "is done at once when nothing was exported" do
    expect(build_exporter("http://127.0.0.1:1").shutdown).to be(true)
  end
end
