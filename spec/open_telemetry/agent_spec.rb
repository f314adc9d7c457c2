# frozen_string_literal: true

require_relative "../support/span_data"

# What a Datadog agent gets is what the Go agent makes of the same spans when they come by OTLP.
RSpec.describe Datadog::NativeExport::TraceChunks, "#push_span_data for an agent" do
  otel = Support::SpanData

  subject(:chunks) { described_class.new }

  define_method(:otel) { otel }

  def arrived(*spans, **options)
    chunks.push_span_data(spans)
    deliver(chunks, **options)
  end

  def arrived_span(span_events: true, **fields)
    arrived(otel.build(**fields), span_events:).spans.fetch(0)
  end

  it "sends ids, times and the parent" do
    span = arrived_span(trace_id: otel.id((0xabc << 64) + 5, 16), span_id: otel.id(2**64 - 1),
                        parent_span_id: otel.id(2**63))

    expect(span).to include("trace_id" => 5, "span_id" => 2**64 - 1, "parent_id" => 2**63, "duration" => 1_000_000,
                            "start" => 1_700_000_000_000_000_000)
    expect(span["meta"]).to include("_dd.p.tid" => "0000000000000abc",
                                    "otel.trace_id" => "0000000000000abc0000000000000005")
  end

  it "makes a chunk of each trace, whatever their order" do
    spans = [1, 2, 1, 3, 2].each_with_index.map do |trace, index|
      otel.build(trace_id: otel.id(trace, 16), span_id: otel.id(index + 1))
    end
    ids = arrived(*spans).traces.map { |trace| trace.map { |span| span["span_id"] } }

    expect(ids).to eq([[1, 3], [2, 5], [4]])
  end

  it "takes no span at all" do
    expect(chunks.push_span_data([])).to be(true)
    expect(chunks).to be_empty
  end

  it "gives each type of attribute its place" do
    span = arrived_span(attributes: { "s" => "text", "t" => true, "f" => false, "i" => 7, "d" => 0.5,
                                      "a" => %w[x y], "n" => [1, 2], :symbol => :value })

    expect(span["meta"]).to include("s" => "text", "t" => "true", "f" => "false", "a" => '["x","y"]', "n" => "[1,2]",
                                    "symbol" => "value")
    expect(span["metrics"]).to eq("i" => 7, "d" => 0.5, "_sampling_priority_v1" => 1)
  end

  it "has the tags of resource and scope on each span, unless it has its own" do
    resource = otel.resource("service.name" => "shop", "service.version" => "7", "host.name" => "h1", "n" => 3,
                             "deployment.environment.name" => "prod", "own" => "resource's")
    scope = otel::Scope.new("rack", "2.0", { "by" => "scope", "own" => "scope's" })
    spans = arrived(*[1, 2].map do |id|
      otel.build(span_id: otel.id(id), resource:, instrumentation_scope: scope, attributes: { "own" => "span's" })
    end).spans

    expect(spans.map { |span| span["service"] }).to eq(%w[shop shop])
    tags = { "host.name" => "h1", "n" => "3", "env" => "prod", "version" => "7", "by" => "scope", "own" => "span's",
             "otel.scope.name" => "rack", "otel.scope.version" => "2.0",
             "otel.library.name" => "rack", "otel.library.version" => "2.0" }
    expect(spans.map { |span| span["meta"] }).to all(include(tags))
    expect(spans.flat_map { |span| span["meta"].keys }).not_to include("service.name")
  end

  # Fields of a span, and its name, resource and type.
  {
    "an internal span" => [{}, "Internal", "work", "custom"],
    "a server" => [{ kind: :server }, "server.request", "work", "web"],
    "a server of HTTP" => [{ kind: :server, attributes: { "http.request.method" => "GET", "http.route" => "/a" } },
                           "http.server.request", "GET /a", "web"],
    "a client of a database" => [{ kind: :client, attributes: { "db.system" => "mysql", "db.statement" => "SELECT" } },
                                 "mysql.query", "SELECT", "sql"],
    "a producer" => [{ kind: :producer, attributes: { "messaging.system" => "sqs", "messaging.operation" => "send" } },
                     "sqs.send", "send", "custom"],
    "one that names itself" => [{ kind: :server, attributes: { "operation.name" => "o", "resource.name" => "r",
                                                               "span.type" => "t" } }, "o", "r", "t"],
    "one whose kind is unknown" => [{ kind: :unheard_of }, "Internal", "work", "custom"]
  }.each do |name, (fields, operation, resource, type)|
    it "calls #{name} what the agent would" do
      expect(arrived_span(**fields)).to include("name" => operation, "resource" => resource, "type" => type)
    end
  end

  it "takes its service from the span first" do
    expect(arrived_span(attributes: { "service.name" => "own" })).to include("service" => "own")
  end

  it "gives attributes of HTTP Datadog's names, the first of two that become one" do
    span = arrived_span(attributes: { "http.request.method" => "GET", "http.method" => "POST", "url.full" => "u",
                                      "http.response.status_code" => 404, "http.request.header.accept" => "a" })

    expect(span["meta"]).to include("http.method" => "GET", "http.url" => "u", "http.request.headers.accept" => "a")
    expect(span["metrics"]).to include("http.status_code" => 404)
  end

  # A status, events, whether it is an error, and what is said about it.
  {
    "no status" => [otel.status(:unset), nil, false, { "otel.status_code" => "Unset" }],
    "success" => [otel.status(:ok), nil, false, { "otel.status_code" => "Ok" }],
    "an error" => [otel.status(:error, "no"), nil, true,
                   { "otel.status_code" => "Error", "otel.status_description" => "no", "error.msg" => "no" }],
    "exceptions" => [otel.status(:error), [otel.exception("First", "1"), otel.exception("Last", "2")], true,
                     { "error.msg" => "2", "error.type" => "Last", "error.stack" => "a.rb:1",
                       "_dd.span_events.has_exception" => "true", "otel.status_code" => "Error" }],
    "an exception that was handled" => [otel.status(:unset), [otel.exception("First", "1")], false,
                                        { "_dd.span_events.has_exception" => "true", "otel.status_code" => "Unset" }]
  }.each do |name, (status, events, error, tags)|
    it "tells of #{name}" do
      span = arrived_span(status:, events:)

      expect(span["error"].to_i).to eq(error ? 1 : 0)
      expect(span["meta"].select { |key, _| key.match?(/status|error|exception/) }).to eq(tags)
    end
  end

  it "prefers what attributes say about an error" do
    span = arrived_span(status: otel.status(:error, "no"), attributes: { "error.type" => "Own" },
                        events: [otel.exception("Event's", "message")])

    expect(span["meta"]).to include("error.type" => "Own", "error.msg" => "message")
  end

  it "sends events with typed attributes" do
    event = arrived_span(events: [otel.event("e", { "i" => 1, "b" => true, "a" => [1.5] })])["span_events"].fetch(0)

    expect(event).to include("name" => "e", "time_unix_nano" => 1_700_000_000_000_000_001)
    expect(event["attributes"]).to eq(
      "i" => { "type" => 2, "int_value" => 1 }, "b" => { "type" => 1, "bool_value" => true },
      "a" => { "type" => 4, "array_value" => { "values" => [{ "type" => 3, "double_value" => 1.5 }] } }
    )
  end

  it "sends links with trace state and flags" do
    link = arrived_span(links: [otel.link({ "a" => [1, 2], "b" => true }, tracestate: { "x" => "1", "y" => "2" })])

    expect(link["span_links"]).to match(
      [a_hash_including("trace_id" => 7, "trace_id_high" => 1, "span_id" => 8, "tracestate" => "x=1,y=2",
                        "flags" => (1 << 31) + 1, "attributes" => { "a.0" => "1", "a.1" => "2", "b" => "true" })]
    )
  end

  it "sends trace state and kind as tags" do
    span = arrived_span(kind: :client, tracestate: otel.tracestate("x" => "1", "y" => "2"))

    expect(span["meta"]).to include("w3c.tracestate" => "x=1,y=2", "span.kind" => "client")
  end

  it "has a trace kept, unless its spans say otherwise" do
    priorities = [nil, { "sampling.priority" => -1 }].map do |attributes|
      spans = [otel.build, otel.build(span_id: otel.id(2), attributes:)]
      deliver(described_class.new.tap { |chunks| chunks.push_span_data(spans) })
        .spans.map { |span| span["metrics"].to_h["_sampling_priority_v1"] }
    end

    expect(priorities).to eq([[1, nil], [nil, -1]])
  end

  it "makes no difference between spans that are lowered first and those whose memory is used again" do
    spans = Array.new(3) { |index| otel.build(span_id: otel.id(index + 1), attributes: { "k" => index.to_s }) }
    twice = Array.new(2) do
      deliver(described_class.new.tap { |chunks| chunks.push_span_data(spans) }).spans
    end

    expect(twice.uniq.size).to eq(1)
  end
end
