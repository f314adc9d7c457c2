# frozen_string_literal: true

require_relative "../support/span_data"

RSpec.describe Datadog::NativeExport::OpenTelemetryExporter do
  include_context "with an agent"

  otel = Support::SpanData

  define_method(:otel) { otel }

  def build(agent_url = agent.url, **options)
    described_class.new(agent_url:, logger: Logger.new(nil), **options).tap do |exporter|
      Support::Delivery::EXPORTERS << exporter.exporter
    end
  end

  def span(id) = otel.build(span_id: otel.id(id))

  it "has the SDK's results" do
    expect([described_class::SUCCESS, described_class::FAILURE, described_class::TIMEOUT]).to eq([0, 1, 2])
  end

  it "sends what it exports, any Enumerable, when it is flushed" do
    exporter = build(flush_interval: 3_600)

    expect(exporter.export([span(1)], timeout: 0)).to eq(0)
    expect(exporter.export([span(2)].each, timeout: nil)).to eq(0)
    expect(exporter.force_flush).to eq(0)
    expect(agent.spans.map { |span| span["span_id"] }).to eq([1, 2])
  end

  it "sends what is left when it is shut down, and takes no more" do
    exporter = build(flush_interval: 3_600)
    exporter.export([span(1)])

    expect(exporter.shutdown(timeout: 10)).to eq(0)
    expect(agent.spans.size).to eq(1)
    expect([exporter.export([span(2)]), exporter.force_flush, exporter.shutdown]).to eq([1, 1, 0])
    expect(exporter.exporter.stats[:dropped]).to include(closed: 1)
  end

  it "fails when the queue is full" do
    exporter = build(max_queue_spans: 1, flush_interval: 3_600)

    expect([exporter.export([span(1)]), exporter.export([span(2)])]).to eq([0, 1])
  end

  it "succeeds without a span that is none, which is counted" do
    exporter = build

    expect(exporter.export([otel.build(trace_id: nil), span(1)])).to eq(0)
    exporter.force_flush(timeout: 10)
    expect(exporter.exporter.stats).to include(spans_sent: 1, dropped: a_hash_including(invalid: 1))
  end

  it "fails to flush what a dead endpoint doesn't take, within its time" do
    exporter = build("http://127.0.0.1:#{free_port}", retry_deadline: 0.2)

    expect(exporter.export([span(1)])).to eq(0)
    expect(exporter.force_flush(timeout: 30)).to eq(1)
    expect(exporter.exporter.stats[:dropped]).to include(unreachable: 1)
  end

  it "fails to flush what is refused" do
    agent.respond_with(400)
    exporter = build
    exporter.export([span(1)])

    expect([exporter.force_flush(timeout: 10), exporter.shutdown(timeout: 10)]).to eq([1, 0])
  end

  it "tells when time runs out, and doesn't wait longer" do
    hung_agent do |url|
      exporter = build(url, agent_timeout: 30)
      exporter.export([span(1)])
      results = []
      seconds = elapsed { results = [exporter.force_flush(timeout: 0), exporter.shutdown(timeout: 0.1)] }

      expect(results).to eq([2, 2])
      expect(seconds).to be < 5
    end
  end

  it "refuses options that the exporter refuses" do
    expect { described_class.new(agent_url: 1) }.to raise_error(Datadog::NativeExport::ConfigurationError, /agent_url/)
    expect { described_class.new(otlp_endpoint: "x") }
      .to raise_error(Datadog::NativeExport::ConfigurationError, /otlp_endpoint/)
  end

  it "goes on in a forked child, with a queue of its own" do
    exporter = build(flush_interval: 3_600)
    exporter.export([span(1)])
    results = in_child { [exporter.export([span(2)]), exporter.force_flush(timeout: 10)] }

    expect(results).to eq([0, 0])
    expect(agent.spans.map { |span| span["span_id"] }).to eq([2])
    expect(exporter.force_flush(timeout: 10)).to eq(0)
    expect(agent.spans.map { |span| span["span_id"] }).to eq([2, 1])
  end

  it "is loaded on demand or by its name, without the SDK" do
    script = <<~RUBY
      require "datadog/native_export/open_telemetry"
      print Datadog::NativeExport::OpenTelemetryExporter, " ", defined?(OpenTelemetry).inspect
    RUBY
    output, errors, = capture(RbConfig.ruby, "-I", Support::Processes::LIB, "-e", script)

    expect([output, errors]).to eq(["Datadog::NativeExport::OpenTelemetryExporter nil", ""])
  end
end
