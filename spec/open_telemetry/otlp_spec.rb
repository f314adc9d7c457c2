# frozen_string_literal: true

require_relative "../support/scripted_server"
require_relative "../support/span_data"

# What an OTLP endpoint gets is what the SDK's own exporter sends. Here it is decoded as JSON; that protobuf says the
# same is shown with the SDK, in spec/integration/open_telemetry_spec.rb.
RSpec.describe Datadog::NativeExport::OpenTelemetryExporter, "by OTLP" do
  otel = Support::SpanData

  around do |example|
    Support::ScriptedServer.start(->(_) { @answer }) do |collector|
      @collector = collector
      example.run
    end
  end

  define_method(:otel) { otel }

  def exporter(**options)
    @exporter ||= described_class.new(otlp_endpoint: @collector.url, otlp_protocol: "http/json",
                                      logger: Logger.new(nil), **options)
  end

  # The resources with their scopes and spans.
  def sent(*spans)
    expect([exporter.export(spans), exporter.force_flush(timeout: 10)]).to eq([0, 0])
    JSON.parse(@collector.requests.last.body).fetch("resourceSpans")
  end

  def sent_span(**fields) = sent(otel.build(**fields))[0]["scopeSpans"][0]["spans"].fetch(0)

  def attributes(of) = of.fetch("attributes", []).to_h { |attribute| attribute.values_at("key", "value") }

  it "sends each type of attribute as what it is" do
    huge = 2**60 + 1
    span = sent_span(attributes: { "s" => "text", "t" => true, "i" => -7, "h" => huge, "d" => 0.5, "w" => 2.0,
                                   "a" => %w[x y], "m" => [1, 2.5, false], "e" => [] })

    expect(attributes(span)).to eq(
      "s" => { "stringValue" => "text" }, "t" => { "boolValue" => true }, "i" => { "intValue" => "-7" },
      "h" => { "intValue" => huge.to_s }, "d" => { "doubleValue" => 0.5 }, "w" => { "doubleValue" => 2.0 },
      "a" => { "arrayValue" => { "values" => [{ "stringValue" => "x" }, { "stringValue" => "y" }] } },
      "m" => { "arrayValue" => { "values" => [{ "intValue" => "1" }, { "doubleValue" => 2.5 },
                                              { "boolValue" => false }] } },
      "e" => { "arrayValue" => { "values" => [] } }
    )
  end

  otel.huge.each do |name, fields|
    it "takes no more text than a request holds from #{name} of one span" do
      sent(otel.build(**fields), otel.build(span_id: otel.id(2)))
      expect(exporter.exporter.stats).to include(values_left_out: 1, spans_dropped: 0, spans_sent: 2)
    end
  end

  it "sends what a span is" do
    span = sent_span(name: "GET /", kind: :consumer, trace_id: otel.id(1 << 127, 16), span_id: otel.id(2**63),
                     parent_span_id: otel.id(9), status: otel.status(:error, "no"),
                     tracestate: otel.tracestate("x" => "1", "y" => "2"))

    expect(span).to include(
      "name" => "GET /", "kind" => 5, "traceId" => "80000000000000000000000000000000", "spanId" => "8000000000000000",
      "parentSpanId" => "0000000000000009", "status" => { "code" => 2, "message" => "no" }, "traceState" => "x=1,y=2",
      "startTimeUnixNano" => "1700000000000000000", "endTimeUnixNano" => "1700000000001000000"
    )
  end

  it "tells success from no status" do
    codes = %i[ok unset].map { |code| sent_span(status: otel.status(code)).dig("status", "code").to_i }

    expect(codes).to eq([1, 0])
  end

  # The SDK's exporter says whether a parent is in another process, and that it knows.
  it "sends flags" do
    not_sampled = otel::TraceFlags.new(flags: 0)
    spans = [{}, { parent_span_is_remote: true }, { trace_flags: not_sampled }].map { |fields| sent_span(**fields) }

    expect(spans.map { |span| span["flags"] }).to eq([0x101, 0x301, 0x100])
  end

  it "sends events and links" do
    span = sent_span(events: [otel.event("e", { "b" => true })],
                     links: [otel.link({ "l" => [1] }, tracestate: { "x" => "1" }, remote: true)])

    expect(span["events"]).to match([a_hash_including("name" => "e", "timeUnixNano" => "1700000000000000001")])
    expect(attributes(span["events"][0])).to eq("b" => { "boolValue" => true })
    expect(span["links"]).to match([a_hash_including(
      "traceId" => "00000000000000010000000000000007", "spanId" => "0000000000000008", "traceState" => "x=1",
      "flags" => 0x301
    )])
    expect(attributes(span["links"][0])).to eq("l" => { "arrayValue" => { "values" => [{ "intValue" => "1" }] } })
  end

  it "counts what the SDK has left out of a span" do
    span = sent_span(attributes: { "a" => 1 }, total_recorded_attributes: 3, total_recorded_events: 2,
                     total_recorded_links: 1)

    expect(span).to include("droppedAttributesCount" => 2, "droppedEventsCount" => 2, "droppedLinksCount" => 1)
  end

  it "sends more attributes than libdatadog's own encoder takes" do
    span = sent_span(attributes: Array.new(200) { |index| ["k#{index}", index] }.to_h)

    expect(span["attributes"].size).to eq(200)
    expect(exporter.exporter.stats[:values_left_out]).to eq(0)
  end

  it "gathers spans by resource and scope" do
    resources = %w[a b].map { |name| otel.resource("service.name" => name, "n" => 1, "list" => [true]) }
    scopes = [otel::Scope.new("x", "1"), otel::Scope.new("y")]
    spans = [[0, 0], [0, 1], [1, 0], [0, 0]].each_with_index.map do |(resource, scope), index|
      otel.build(span_id: otel.id(index + 1), trace_id: otel.id(index + 1, 16), resource: resources[resource],
                 instrumentation_scope: scopes[scope])
    end
    received = sent(*spans)

    expect(received.map { |resource| attributes(resource["resource"])["service.name"]["stringValue"] }).to eq(%w[a b])
    expect(attributes(received[0]["resource"])).to include(
      "n" => { "intValue" => "1" }, "list" => { "arrayValue" => { "values" => [{ "boolValue" => true }] } }
    )
    scopes = received.map { |resource| resource["scopeSpans"].map { |scope| [scope["scope"], scope["spans"].size] } }
    expect(scopes).to eq([[[{ "name" => "x", "version" => "1" }, 2], [{ "name" => "y" }, 1]],
                          [[{ "name" => "x", "version" => "1" }, 1]]])
  end

  it "says in the headers what it is" do
    described_class.new(otlp_endpoint: @collector.url, otlp_protocol: "http/protobuf",
                        otlp_headers: { "api-key" => "k" }).tap do |exporter|
      exporter.export([otel.build])
      expect(exporter.shutdown(timeout: 10)).to eq(0)
    end

    expect(@collector.requests("/v1/traces").last.headers).to include("content-type" => "application/x-protobuf",
                                                                      "api-key" => "k")
  end

  it "leaves out numbers that JSON doesn't have, and counts them" do
    span = sent_span(attributes: { "i" => Float::INFINITY, "n" => Float::NAN, "a" => [Float::NAN], "ok" => 1 })

    expect(attributes(span).keys).to eq(["ok"])
    expect(exporter.exporter.stats).to include(spans_sent: 1, values_left_out: 3)
  end

  it "fails to flush what is refused or has no receiver, and counts it" do
    @answer = [400, {}, ""]
    dead = described_class.new(otlp_endpoint: "http://127.0.0.1:#{free_port}", retry_deadline: 0.2,
                               logger: Logger.new(nil))
    results = [exporter, dead].map { |exporter| [exporter.export([otel.build]), exporter.force_flush(timeout: 30)] }

    expect(results).to eq([[0, 1], [0, 1]])
    expect(exporter.exporter.stats[:dropped]).to include(refused: 1)
    expect(dead.exporter.stats[:dropped]).to include(unreachable: 1)
  end

  it "goes on in a forked child" do
    exporter(flush_interval: 3_600).export([otel.build])
    result = in_child { [exporter.export([otel.build(span_id: otel.id(2))]), exporter.force_flush(timeout: 10)] }
    exporter.force_flush(timeout: 10)

    expect(result).to eq([0, 0])
    expect(@collector.requests.map { |request| request.body.scan(/"spanId":"(\h+)"/).flatten })
      .to eq([["0000000000000002"], ["0000000000000001"]])
  end

  it "takes a trace whose id an agent would take for 0" do
    expect(sent_span(trace_id: otel.id(1 << 64, 16))).to include("traceId" => "00000000000000010000000000000000")
  end
end
