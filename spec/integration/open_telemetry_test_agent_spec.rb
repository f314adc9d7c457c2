# frozen_string_literal: true

require_relative "../support/span_data"
require_relative "../support/test_agent"

# What Datadog's own test agent receives of OpenTelemetry's spans.
RSpec.describe "OpenTelemetry's spans at ddapm-test-agent" do
  include_context "with ddapm-test-agent"

  def export(**options)
    exporter = Datadog::NativeExport::OpenTelemetryExporter.new(test_session_token: token, **options)
    expect([exporter.export(spans), exporter.force_flush(timeout: 10)]).to eq([0, 0])
  end

  def spans
    otel = Support::SpanData
    trace_id = otel.id((0xabc << 64) + 5, 16)
    [otel.build(trace_id:, span_id: otel.id(7), name: "GET /", kind: :server, attributes: { "http.method" => "GET" },
                events: [otel.event("looked", { "found" => true })], links: [otel.link({ "a" => 1 })]),
     otel.build(trace_id:, span_id: otel.id(8), parent_span_id: otel.id(7), name: "query", kind: :client,
                attributes: { "cached" => true, "list" => [1, 2] }, status: otel.status(:error, "no"))]
  end

  it "are traces of the agent's" do
    export(agent_url: agent.url)
    root, child = agent.traces(token).fetch(0)

    expect(root).to include("name" => "http.server.request", "resource" => "GET", "service" => "shop", "type" => "web",
                            "trace_id" => 5, "span_id" => 7)
    expect(child).to include("name" => "client.request", "resource" => "query", "parent_id" => 7, "error" => 1)
    expect(child["meta"]).to include("cached" => "true", "list" => "[1,2]", "error.msg" => "no")
    expect(root["span_links"]).to match([a_hash_including("trace_id" => 7, "attributes" => { "a" => "1" })])
    expect(root["span_events"]).to match([a_hash_including("name" => "looked")])
  end

  %w[http/protobuf http/json].each do |protocol|
    it "are what OTLP has, as #{protocol}" do
      export(otlp_endpoint: agent.otlp_url, otlp_protocol: protocol)
      received = JSON.generate(agent.otlp_traces(token))

      expect(received.scan(%r{"GET /"|"query"|"shop"|"instrumentation"}).uniq.size).to eq(4)
      expect(received).to match(/"(boolValue|bool_value)":true/).and match(/"(arrayValue|array_value)":/)
    end
  end
end
