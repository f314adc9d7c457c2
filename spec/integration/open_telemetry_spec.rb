# frozen_string_literal: true

require "zlib"
require_relative "../support/open_telemetry"
require_relative "../support/scripted_server"
require_relative "../support/span_data"

RSpec.describe Datadog::NativeExport::OpenTelemetryExporter, "with OpenTelemetry's SDK" do
  support = Support::OpenTelemetry

  before do
    skip(support.absent) if support.absent
    support.load_sdk
  end

  # What makes spans, by the processor that a block makes; shut down at the end.
  def provider(resource: { "service.name" => "shop" })
    resource = OpenTelemetry::SDK::Resources::Resource.default
                                                      .merge(OpenTelemetry::SDK::Resources::Resource.create(resource))
    OpenTelemetry::SDK::Trace::TracerProvider.new(resource:).tap do |provider|
      provider.add_span_processor(yield(OpenTelemetry::SDK::Trace::Export))
    end
  end

  # Two instrumentations, a link, events, an exception and each type of attribute.
  def trace(provider)
    web, database = %w[web database].map { |name| provider.tracer(name, "1.0") }
    attributes = { "http.request.method" => "GET", "http.response.status_code" => 200, "cached" => true, "share" => 2.0,
                   "huge" => 2**60 + 1, "list" => %w[a b], "mixed" => [1, 2.5], "none" => [], "text" => "naïve" }
    web.in_span("GET /", kind: :server, attributes:, links: [link]) do |span|
      span.add_event("looked", attributes: { "found" => false, "scores" => [1, 0.5] })
      database.in_span("query", kind: :client, attributes: { "db.system" => "redis" }) { raise "no" }
    rescue RuntimeError
      span.status = OpenTelemetry::Trace::Status.ok("all the same")
    end
  end

  def link
    state = OpenTelemetry::Trace::Tracestate.from_hash("a" => "b", "c" => "d")
    context = OpenTelemetry::Trace::SpanContext.new(tracestate: state, remote: true)
    OpenTelemetry::Trace::Link.new(context, { "ids" => [1, 2], "own" => true })
  end

  # The same spans for both exporters.
  def finished_spans
    memory = OpenTelemetry::SDK::Trace::Export::InMemorySpanExporter.new
    trace(provider { |export| export::SimpleSpanProcessor.new(memory) })
    memory.finished_spans
  end

  it "has the results that the SDK compares with" do
    export = OpenTelemetry::SDK::Trace::Export

    expect([described_class::SUCCESS, described_class::FAILURE, described_class::TIMEOUT])
      .to eq([export::SUCCESS, export::FAILURE, export::TIMEOUT])
  end

  it "is read as the objects that stand in for the SDK's are" do
    stand_in = Support::SpanData
    span = finished_spans.first
    built = stand_in.build(links: [stand_in.link])
    context = built.links[0].instance_variable_get(:@span_context)

    expect(span.members).to match_array(built.members)
    expect(span.events[0].members).to match_array(stand_in::Event.members)
    expect(span.instrumentation_scope.members).to match_array(stand_in::Scope.members)
    { span.status => built.status, span.resource => built.resource, span.trace_flags => built.trace_flags,
      span.tracestate => built.tracestate, link => built.links[0], link.span_context => context }.each do |real, other|
      expect(real.instance_variables).to include(*other.instance_variables)
    end
  end

  describe "to an agent" do
    include_context "with an agent"

    %w[BatchSpanProcessor SimpleSpanProcessor].each do |processor|
      it "exports what a #{processor} passes on" do
        exporter = described_class.new(agent_url: agent.url)
        provider = provider { |export| export.const_get(processor).new(exporter) }
        trace(provider)

        expect([provider.force_flush(timeout: 10), provider.shutdown(timeout: 10)]).to eq([0, 0])
        expect(agent.spans.map { |span| span["name"] }).to contain_exactly("redis.query", "http.server.request")
        # An agent takes no Array of several types in an event.
        expect(exporter.exporter.stats).to include(spans_sent: 2, spans_dropped: 0, values_left_out: 1)
      end
    end

    it "exports in a forked child what the child's spans are" do
      exporter = described_class.new(agent_url: agent.url)
      provider = provider { |export| export::BatchSpanProcessor.new(exporter) }
      provider.tracer("test").in_span("parent") { nil }
      result = in_child do
        provider.tracer("test").in_span("child") { nil }
        provider.force_flush(timeout: 10)
      end
      provider.shutdown(timeout: 10)

      expect(result).to eq(0)
      expect(agent.spans.map { |span| span["resource"] }).to contain_exactly("parent", "child")
    end
  end

  describe "to a collector" do
    around do |example|
      Support::ScriptedServer.start(nil) do |collector|
        @collector = collector
        example.run
      end
    end

    before do
      skip(support.exporter_absent) if support.exporter_absent
    end

    # A message with what has no order in some order.
    def comparable(value)
      case value
      when Hash then value.transform_values { |inner| comparable(inner) }
      when Array then value.map { |inner| comparable(inner) }.sort_by(&:to_s)
      else value
      end
    end

    def decode(request)
      body = request.body
      body = Zlib.gunzip(body) if request.headers["content-encoding"] == "gzip"
      message = Opentelemetry::Proto::Collector::Trace::V1::ExportTraceServiceRequest.decode(body)
      comparable(message.to_h)
    end

    it "sends just what the SDK's own exporter sends" do
      spans = finished_spans
      theirs = OpenTelemetry::Exporter::OTLP::Exporter.new(endpoint: "#{@collector.url}/v1/traces")
      ours = described_class.new(otlp_endpoint: @collector.url, otlp_protocol: "http/protobuf")

      expect([theirs.export(spans), ours.export(spans), ours.force_flush(timeout: 10)]).to eq([0, 0, 0])
      expected, sent = @collector.requests.map { |request| decode(request) }
      expect(sent).to eq(expected)
      expect(sent.to_s).to include("naïve", "all the same").and include("opentelemetry")
    end

    it "loses a bad attribute where the SDK's own exporter loses all spans" do
      spans = finished_spans
      spans.last.attributes = spans.last.attributes.merge("huge" => 2**64)
      theirs = OpenTelemetry::Exporter::OTLP::Exporter.new(endpoint: "#{@collector.url}/v1/traces")
      ours = described_class.new(otlp_endpoint: @collector.url, otlp_protocol: "http/protobuf")
      allow(OpenTelemetry).to receive(:handle_error)

      expect([theirs.export(spans), ours.export(spans), ours.force_flush(timeout: 10)]).to eq([1, 0, 0])
      sent = decode(@collector.requests.fetch(0)).to_s
      expect(sent).to include("GET /", "query", "naïve")
      expect(sent).not_to include("huge")
      expect(ours.exporter.stats).to include(values_left_out: 1)
    end
  end
end
