# frozen_string_literal: true

require_relative "../support/test_agent"

# What Datadog's own test agent receives by OTLP, decoded with OpenTelemetry's published schema.
RSpec.describe "OTLP at ddapm-test-agent" do
  include_context "with ddapm-test-agent"

  let(:trace_id) { (0x0123_4567_89ab_cdef << 64) | 0xfedc_ba98_7654_3210 }

  def trace
    chunks = Datadog::NativeExport::TraceChunks.new.begin_chunk
    span = build_span(trace_id:, name: "web.request", resource: "GET /漢字", type: "web", span_id: 7, error: 1,
                      start: 1_700_000_000_000_000_005, duration: 12_000_000,
                      meta: { "http.method" => "GET", "error.message" => "boom", "span.kind" => "client" },
                      metrics: { "_sampling_priority_v1" => 1, "rate" => 0.5 },
                      meta_struct: { "appsec" => { "rule" => 3 } })
    span.add_link(trace_id: (1 << 100) + 2, span_id: 9, attributes: { "why" => "retry" }, tracestate: "dd=s:1",
                  flags: 1)
    span.add_event(name: "exception", time_unix_nano: 1_700_000_000_000_000_006,
                   attributes: { "message" => "no", "again" => true, "codes" => [1, 2], "share" => 0.5 })
    chunks << span << build_span(trace_id:, service: "database", name: "db.query", span_id: 8, parent_id: 7)
    chunks.begin_chunk << build_span(trace_id: 3, name: "unsampled", metrics: { "_sampling_priority_v1" => -1 })
  end

  # Attributes by name. Numbers of 64 bits are text in JSON.
  def attributes(holder)
    holder.fetch("attributes", []).to_h { |attribute| [attribute["key"], value(attribute["value"])] }
  end

  def value(value)
    type, content = value.first
    case type
    when "intValue" then Integer(content)
    when "arrayValue" then content["values"].map { |one| value(one) }
    when "bytesValue" then content.unpack1("m")
    else content
    end
  end

  # The agent shows requests in protobuf with the names of the schema, and those in JSON as they came.
  def camelized(value)
    case value
    when Hash then value.to_h { |key, content| [key.gsub(/_\w/) { |match| match[1].upcase }, camelized(content)] }
    when Array then value.map { |content| camelized(content) }
    else value
    end
  end

  def hex(base64, size) = base64.unpack1("m").unpack1("H*").tap { |text| expect(text.size).to eq(size) }

  # Ids are hexadecimal in OTLP's JSON, and base64 in that of protobuf messages in general.
  def id(text, size) = text.match?(/\A\h{#{size}}\z/) ? text : hex(text, size)

  %w[http/protobuf http/json].each do |protocol|
    context "with #{protocol}" do
      let(:response) { @exporter.send_trace_chunks(trace, timeout: 10) }
      let(:received) { response && camelized(agent.otlp_traces(token)) }
      let(:resource) { received.flat_map { |request| request["resourceSpans"] } }
      let(:spans) { resource.flat_map { |one| one["scopeSpans"] }.flat_map { |scope| scope["spans"] } }

      before do
        @exporter = build_exporter(
          nil, otlp_endpoint: agent.otlp_url, otlp_protocol: protocol, test_session_token: token, service: "shop",
               env: "prod", version: "1.2", runtime_id: "d1c8"
        )
      end

      it "has the sampled spans, and counts the others" do
        expect(response).to have_attributes(ok?: true, status: 200, trace_count: 2, accepted_count: 1,
                                            sampled_out_count: 1)
        expect(spans.map { |span| span["name"] }).to eq(["GET /漢字", "db.query"])
        expect(@exporter.stats).to include(spans_exported: 3, spans_sent: 2, spans_sampled_out: 1, spans_dropped: 0)
      end

      it "has ids of 128 bits, times, status and kind" do
        root, child = spans
        expect(spans.map { |span| id(span["traceId"], 32) }).to eq([format("%032x", trace_id)] * 2)
        expect([root["spanId"], child["spanId"], child["parentSpanId"]].map { |text| id(text, 16) })
          .to eq(%w[0000000000000007 0000000000000008 0000000000000007])
        expect(root).to include("startTimeUnixNano" => "1700000000000000005",
                                "endTimeUnixNano" => "1700000000012000005")
        expect(root["status"]["message"]).to eq("boom")
        expect(root["status"]["code"]).to eq(2).or eq("STATUS_CODE_ERROR")
        expect(root["kind"]).to eq(3).or eq("SPAN_KIND_CLIENT")
      end

      it "has tags, metrics and structured tags as attributes" do
        expect(attributes(spans[0])).to include(
          "operation.name" => "web.request", "resource.name" => "GET /漢字", "span.type" => "web",
          "http.method" => "GET", "rate" => 0.5, "appsec" => { "rule" => 3 }.to_msgpack
        )
        expect(attributes(spans[0])).not_to include("service.name", "_dd.p.tid")
        expect(attributes(spans[1])).to include("service.name" => "database")
      end

      it "has links and typed events" do
        link = spans[0]["links"][0]
        event = spans[0]["events"][0]
        expect([id(link["traceId"], 32), id(link["spanId"], 16)])
          .to eq([format("%032x", (1 << 100) + 2), "0000000000000009"])
        expect(link).to include("traceState" => "dd=s:1", "flags" => 1)
        expect(attributes(link)).to eq("why" => "retry")
        expect(event).to include("name" => "exception", "timeUnixNano" => "1700000000000000006")
        expect(attributes(event)).to eq("message" => "no", "again" => true, "codes" => [1, 2], "share" => 0.5)
      end

      it "has the application as the resource" do
        expect(resource.size).to eq(1)
        expect(attributes(resource[0]["resource"])).to include(
          "service.name" => "shop", "deployment.environment.name" => "prod", "service.version" => "1.2",
          "telemetry.sdk.language" => "ruby", "runtime-id" => "d1c8"
        )
      end
    end
  end
end
