# frozen_string_literal: true

require_relative "../support/receivers"
require_relative "../support/scripted_server"
require_relative "../support/span_data"

# Receivers whose code has nothing to do with Datadog's libraries or with ours.
RSpec.describe "Spans at rotel, an OpenTelemetry collector" do
  Support::Receivers.for(self, :rotel)
  include_context "with ddapm-test-agent"

  # It sends what it has understood on to the test agent, which decodes it by OpenTelemetry's schema.
  around do |example|
    http = free_port
    grpc = free_port
    @url = "http://127.0.0.1:#{http}"
    run_receiver(
      :rotel, "start", "--otlp-http-endpoint", "127.0.0.1:#{http}", "--otlp-grpc-endpoint", "127.0.0.1:#{grpc}",
      "--exporter", "otlp", "--otlp-exporter-endpoint", agent.otlp_url.delete_suffix("/v1/traces"),
      "--otlp-exporter-protocol", "http", "--otlp-exporter-compression", "none",
      "--otlp-exporter-custom-headers", "x-datadog-test-session-token=#{token}", port: http
    ) { example.run }
  end

  # The only resource, with its spans.
  def received(spans)
    resource = nil
    wait_until do
      requests = agent.otlp_traces(token)
      resource = requests.flat_map { |request| request["resource_spans"] }.first
      resource && resource["scope_spans"].sum { |scope| scope["spans"].size } == spans
    end
    [attributes(resource["resource"]), resource["scope_spans"][0]["scope"]["name"],
     resource["scope_spans"].flat_map { |scope| scope["spans"] }]
  end

  def attributes(holder) = holder["attributes"].to_h { |one| [one["key"], one["value"].values[0]] }

  def hex(base64) = base64.unpack1("m").unpack1("H*")

  %w[http/protobuf http/json].each do |protocol|
    it "are what was exported, by #{protocol}" do
      span = build_span(trace_id: (5 << 64) + 7, span_id: 3, parent_id: 2, name: "web.request", resource: "GET /漢字",
                        type: "web", start: 1_700_000_000_000_000_005, duration: 12, error: 1,
                        meta: { "a" => "b", "error.message" => "boom" }, metrics: { "rate" => 0.5 })
      span.add_link(trace_id: (1 << 100) + 2, span_id: 9, attributes: { "why" => "retry" }, tracestate: "dd=s:1")
      span.add_event(name: "exception", time_unix_nano: 6, attributes: { "codes" => [1, 2], "again" => true })
      exporter = build_exporter(nil, otlp_endpoint: @url, otlp_protocol: protocol, service: "shop", env: "prod")
      exporter.send_trace_chunks(Datadog::NativeExport::TraceChunks.new.begin_chunk << span, timeout: 10)

      resource, scope, (arrived,) = received(1)
      expect(resource).to include("service.name" => "shop", "deployment.environment.name" => "prod")
      expect(scope).to eq("datadog-native-export")
      expect(arrived.values_at("trace_id", "span_id", "parent_span_id").map { |id| hex(id) })
        .to eq([format("%032x", (5 << 64) + 7), "0000000000000003", "0000000000000002"])
      expect(arrived).to include(
        "name" => "GET /漢字", "kind" => "SPAN_KIND_SERVER", "start_time_unix_nano" => "1700000000000000005",
        "end_time_unix_nano" => "1700000000000000017",
        "status" => { "code" => "STATUS_CODE_ERROR", "message" => "boom" }
      )
      expect(attributes(arrived)).to include("a" => "b", "rate" => 0.5, "operation.name" => "web.request")
      expect(hex(arrived["links"][0]["trace_id"])).to eq(format("%032x", (1 << 100) + 2))
      expect(arrived["links"][0]).to include("trace_state" => "dd=s:1")
      expect(attributes(arrived["events"][0]))
        .to eq("again" => true, "codes" => { "values" => [{ "int_value" => "1" }, { "int_value" => "2" }] })
    end

    it "are what OpenTelemetry's SDK has recorded, by #{protocol}" do
      otel = Support::SpanData
      spans = [otel.build(span_id: otel.id(7), name: "GET /", kind: :server, status: otel.status(:ok),
                          attributes: { "text" => "a", "whole" => 2.0, "list" => ["x", 1] },
                          events: [otel.event("looked", { "found" => true })], links: [otel.link({ "n" => 1 })]),
               otel.build(span_id: otel.id(8), parent_span_id: otel.id(7), name: "query", kind: :client)]
      exporter = Datadog::NativeExport::OpenTelemetryExporter.new(otlp_endpoint: @url, otlp_protocol: protocol)
      expect([exporter.export(spans), exporter.force_flush(timeout: 10)]).to eq([0, 0])

      resource, scope, (root, child) = received(2)
      expect([resource, scope]).to eq([{ "service.name" => "shop" }, "instrumentation"])
      expect(root).to include("name" => "GET /", "kind" => "SPAN_KIND_SERVER",
                              "status" => { "code" => "STATUS_CODE_OK" })
      expect(attributes(root))
        .to eq("text" => "a", "whole" => 2.0,
               "list" => { "values" => [{ "string_value" => "x" }, { "int_value" => "1" }] })
      expect(attributes(root["events"][0])).to eq("found" => true)
      expect(attributes(root["links"][0])).to eq("n" => "1")
      expect(child).to include("name" => "query", "parent_span_id" => root["span_id"])
    end
  end
end

RSpec.describe "Spans at datadog-serverless-compat, an agent for functions" do
  Support::Receivers.for(self, :serverless_compat, needs: "google/protobuf/descriptor_pb")

  # It takes v0.4 alone, and sends what it has understood on to Datadog's intake, which is a server of ours here.
  around do |example|
    Support::ScriptedServer.start(->(_) {}) do |intake|
      @intake = intake
      port = free_port
      @url = "http://127.0.0.1:#{port}"
      env = { "ASCSVCRT_SPRING__APPLICATION__NAME" => "app", "DD_API_KEY" => "none", "DD_SITE" => "localhost.invalid",
              "DD_APM_DD_URL" => intake.url, "DD_APM_PROFILING_DD_URL" => intake.url, "DD_USE_DOGSTATSD" => "false",
              "DD_APM_RECEIVER_PORT" => port.to_s }
      run_receiver(:serverless_compat, port:, env:) { example.run }
    end
  end

  # It allows no statistics to be computed by others, so that all spans are sent to it.
  it "are what was exported, with or without statistics" do
    [false, true].each do |stats|
      exporter = build_exporter(nil, agent_url: @url, stats:, service: "shop")
      span = build_span(trace_id: 7, span_id: 3, parent_id: 2, name: "web.request", service: "shop", type: "web",
                        resource: "GET /漢字 #{stats}", start: 1_700_000_000_000_000_005, duration: 12, error: 1,
                        meta: { "a" => "b" }, metrics: { "rate" => 0.5, "_sampling_priority_v1" => 1 })
      exporter.send_trace_chunks(Datadog::NativeExport::TraceChunks.new.begin_chunk << span, timeout: 10)
      expect(exporter.stats).to include(spans_sent: 1, stats_payloads_sent: 0)
    end
    payloads = nil
    wait_until(limit: 60) do
      bodies = @intake.requests("/api/v0.2/traces").map(&:body)
      payloads = bodies.flat_map { |body| Support::Receivers.agent_payload(body).tracer_payloads.to_a }
      payloads.flat_map { |payload| payload.chunks.to_a }.size == 2
    end

    expect(payloads.map(&:language_name).uniq).to eq(["ruby"])
    spans = payloads.flat_map { |payload| payload.chunks.to_a }.flat_map { |chunk| chunk.spans.to_a }
    expect(spans.map(&:resource)).to eq(["GET /漢字 false", "GET /漢字 true"])
    spans.each do |span|
      expect(span).to have_attributes(name: "web.request", service: "shop", type: "web", trace_id: 7, span_id: 3,
                                      parent_id: 2, start: 1_700_000_000_000_000_005, duration: 12, error: 1)
      expect(span.meta.to_h { |entry| [entry.key, entry.value] }).to include("a" => "b")
      expect(span.metrics.to_h { |entry| [entry.key, entry.value] }).to include("rate" => 0.5)
    end
  end
end
