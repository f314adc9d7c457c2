# frozen_string_literal: true

RSpec.describe Datadog::NativeExport::Exporter, "#export" do
  include_context "with an agent"

  it "sends in the background, without a flush" do
    expect(build_exporter(flush_interval: 0.05).export(build_chunks(2, 1))).to be(true)

    expect(agent.wait_for(spans: 3).size).to eq(3)
    expect(agent.traces.map(&:size)).to eq([2, 1])
  end

  it "waits for the interval, unless enough has gathered" do
    exporter = build_exporter(flush_interval: 3_600)
    exporter.export(build_chunks(1))
    exporter.export(build_chunks(1, meta: { "large" => "x" * 2_000_000 }))

    expect(agent.wait_for(spans: 2).size).to eq(2)
  end

  it "starts no Ruby thread" do
    exporter = build_exporter

    expect { exporter.export(build_chunks(1)) }.not_to(change { Thread.list.size })
  end

  it "sends nothing for chunks without spans" do
    exporter = build_exporter

    expect(exporter.export(build_chunks)).to be(true)
    expect(exporter.export(build_chunks(0, 0))).to be(true)
    exporter.export(build_chunks(0, 1))
    expect(exporter.flush(timeout: 10)).to be(true)
    expect(agent.traces.map(&:size)).to eq([1])
    expect(exporter.stats).to include(spans_exported: 1, payloads_sent: 1)
  end

  it "takes chunks in order until the queue is full, and counts the rest" do
    hung_agent do |url|
      exporter = build_exporter(url, max_queue_spans: 5)

      expect(exporter.export(build_chunks(2, 2, 2, 1))).to be(false)
      expect(exporter.stats).to include(spans_exported: 7, spans_dropped: 3)
      expect(exporter.stats[:dropped]).to include(queue_full: 3)
      expect(exporter.export(build_chunks(1))).to be(true)
      expect(exporter.export(build_chunks(1))).to be(false)
    end
  end

  it "returns false after shutdown, and counts" do
    exporter = build_exporter
    exporter.shutdown(timeout: 5)

    expect(exporter.export(build_chunks(2))).to be(false)
    expect(exporter.stats).to include(spans_exported: 2, spans_dropped: 2, spans_queued: 0)
    expect(exporter.stats[:dropped]).to include(closed: 2)
  end

  it "raises for what are no chunks", :untyped do
    expect { build_exporter.export([]) }
      .to raise_error(TypeError, "chunks: expected Datadog::NativeExport::TraceChunks, got Array")
    chunks = build_chunks(1)
    exporter = build_exporter
    exporter.export(chunks)
    expect { exporter.export(chunks) }.to raise_error(Datadog::NativeExport::ConsumedError)
  end

  it "splits what is too large for one payload between chunks" do
    exporter = build_exporter
    exporter.export(build_chunks(1, 1, 1, 1, meta: { "large" => "x" * 2_000_000 }))

    expect(exporter.flush(timeout: 10)).to be(true)
    requests = agent.requests.select(&:trace_request?)
    expect(requests.map { |request| request.headers["x-datadog-trace-count"] }).to eq(%w[2 2])
    expect(requests.map { |request| request.body.bytesize }).to all(be < 5 * 1024 * 1024)
  end

  it "fills payloads up to the size it is told" do
    exporter = build_exporter(max_payload_bytes: 10_000)
    exporter.export(build_chunks(*[1] * 20, meta: { "k" => "x" * 1_000 }))

    expect(exporter.flush(timeout: 10)).to be(true)
    sizes = agent.requests.select(&:trace_request?).map { |request| request.body.bytesize }
    expect(sizes).to all(be_between(5_000, 10_000))
    expect(agent.traces.size).to eq(20)
  end

  it "gives up a trace that no agent takes, and that alone" do
    exporter = build_exporter
    exporter.export(build_chunks(2, meta: Array.new(14) { |i| ["large #{i}", "x" * 1024 * 1024] }.to_h))
    exporter.export(build_chunks(2))

    expect(exporter.flush(timeout: 10)).to be(true)
    expect(agent.spans.size).to eq(2)
    expect(exporter.stats[:dropped]).to include(too_large: 2)
    expect(exporter.stats[:last_error]).to match(/a trace of 2 spans takes 2936\d+ bytes/)
  end
end
