# frozen_string_literal: true

require_relative "../support/span_data"

RSpec.describe Datadog::NativeExport::TraceChunks, "#push_span_data and odd values" do
  otel = Support::SpanData

  subject(:chunks) { described_class.new }

  # Fields of a span, and what is said of it.
  {
    "no trace id" => [{ trace_id: nil }, "trace_id: expected a String of 16 bytes, got nil"],
    "a trace id that is too short" => [{ trace_id: otel.id(1) }, "trace_id: expected a String of 16 bytes, got String"],
    "a trace id of 0" => [{ trace_id: otel.id(0, 16) }, "trace_id: expected an id that is not 0"],
    "a trace id of which an agent sees 0" => [{ trace_id: otel.id(1 << 64, 16) },
                                              "trace_id: expected an id whose lower 64 bits are not 0"],
    "no id" => [{ span_id: nil }, "span_id: expected a String of 8 bytes, got nil"],
    "an id of 0" => [{ span_id: otel.id(0) }, "span_id: expected an id that is not 0"]
  }.each do |name, (fields, problem)|
    it "does without a span with #{name}, and counts it" do
      good = [1, 2].map { |id| otel.build(span_id: otel.id(id)) }

      expect(chunks.push_span_data([good[0], otel.build(**fields), good[1]])).to be(false)
      arrived = deliver(chunks)
      expect(arrived.spans.map { |span| span["span_id"] }).to eq([1, 2])
      expect(arrived.stats).to include(spans_exported: 3, spans_sent: 2)
      expect(arrived.stats[:dropped]).to include(invalid: 1)
      expect(arrived.stats[:last_error]).to include("span_data[1].#{problem}")
    end
  end

  it "does without what is no span" do
    expect(chunks.push_span_data(["span", Struct.new(:other).new(1), nil])).to be(false)
    expect(chunks.push_span_data([otel.build])).to be(true)
    arrived = deliver(chunks)
    expect(arrived.stats[:dropped]).to include(invalid: 3)
    expect(arrived.stats[:last_error]).to include("span_data[2].span: expected OpenTelemetry::SDK::Trace::SpanData")
  end

  it "takes an Array alone, and no list that was handed over" do
    expect { chunks.push_span_data(otel.build) }.to raise_error(TypeError, /span_data: expected Array/)
    deliver(chunks.tap { |list| list.push_span_data([otel.build]) })
    expect { chunks.push_span_data([]) }.to raise_error(Datadog::NativeExport::ConsumedError)
  end

  # Fields of a span, how many of its values are repaired and left out, and what of it arrives.
  {
    "an attribute of another class" => [{ attributes: { "k" => Object.new, "l" => "v" } }, 0, 1, { "l" => "v" }],
    "nil" => [{ attributes: { "k" => nil, "l" => "v" } }, 0, 1, { "l" => "v" }],
    "a key that is no text" => [{ attributes: { 1 => "v", "l" => "v" } }, 0, 1, { "l" => "v" }],
    "broken text" => [{ attributes: { "k" => "a\xFF" } }, 1, 0, { "k" => "a\uFFFD" }],
    "text in another encoding" => [{ attributes: { "k" => "é".encode("ISO-8859-1") } }, 0, 0, { "k" => "é" }],
    "NaN" => [{ attributes: { "k" => Float::NAN, "l" => "v" } }, 0, 1, { "l" => "v" }],
    "an Integer of more than 64 bits" => [{ attributes: { "k" => 2**64, "l" => "v" } }, 0, 1, { "l" => "v" }],
    "an Array of several types" => [{ attributes: { "k" => [1, 2.5, "a"] } }, 0, 0, { "k" => '[1,2.5,"a"]' }],
    "an Array in an Array" => [{ attributes: { "k" => [[1]], "l" => "v" } }, 0, 1, { "l" => "v" }],
    "a Hash" => [{ attributes: { "k" => { "a" => 1 }, "l" => "v" } }, 0, 1, { "l" => "v" }],
    "attributes that are no Hash" => [{ attributes: [1] }, 0, 1, {}],
    "a resource that is none" => [{ resource: 1 }, 0, 1, { "span.kind" => "internal" }],
    "a scope that is none" => [{ instrumentation_scope: 1 }, 0, 1, {}],
    "a status that is none" => [{ status: 1 }, 0, 1, { "otel.status_code" => "Unset" }],
    "links that are none" => [{ links: [1, nil, otel.link] }, 0, 2, {}],
    "a link without ids" => [{ links: [otel.link(span_id: otel.id(0))] }, 0, 1, {}],
    "events that are none" => [{ events: [1, otel.event(nil), otel.event("e", timestamp: -1)] }, 0, 3, {}],
    "a broken attribute of an event" => [{ events: [otel.event("e", { "k" => Object.new })] }, 0, 1, {}],
    "times that are none" => [{ start_timestamp: "now", end_timestamp: nil }, 0, 1, {}],
    "a parent that is none" => [{ parent_span_id: "x" }, 0, 1, {}],
    "a name that is none" => [{ name: 1 }, 0, 1, {}],
    "trace state that is none" => [{ tracestate: "x=1" }, 0, 1, {}],
    "nothing but ids" => [%i[name kind status parent_span_id start_timestamp end_timestamp resource tracestate
                             instrumentation_scope trace_flags].to_h { |field| [field, nil] }, 0, 0, {}]
  }.each do |name, (fields, repaired, left_out, tags)|
    it "sends a span with #{name}, and counts what was left out or repaired" do
      chunks.push_span_data([otel.build(**fields), otel.build(span_id: otel.id(2))])
      arrived = deliver(chunks)

      expect(arrived.spans.size).to eq(2)
      expect(arrived.spans[0]["meta"]).to include(tags)
      expect(arrived.stats).to include(values_repaired: repaired, values_left_out: left_out, spans_dropped: 0)
    end
  end

  otel.huge.each do |name, fields|
    it "takes no more text than an agent does from #{name} of one span" do
      chunks.push_span_data([otel.build(**fields), otel.build(span_id: otel.id(2))])
      expect(deliver(chunks).stats).to include(values_left_out: 1, spans_dropped: 0, spans_sent: 2)
    end
  end

  it "makes no room for spans before it reads them" do
    output, = run_ruby(<<~RUBY)
      peak = -> { File.read("/proc/self/status")[/VmHWM:\\s+(\\d+)/, 1].to_i }
      none = Array.new(300_000)
      before = peak.call
      Datadog::NativeExport::TraceChunks.new.push_span_data(none)
      puts peak.call - before
    RUBY
    expect(Integer(output)).to be < 40_000 # kB
  end

  it "raises what comes from outside, and stays usable" do
    interrupting = Class.new { def to_s = raise(Interrupt, "now") }.new

    expect { chunks.push_span_data([otel.build(links: [otel.link({ "a" => interrupting })])]) }
      .to raise_error(Interrupt)
    chunks.push_span_data([otel.build])
    expect(deliver(chunks).spans.size).to eq(1)
  end
end
