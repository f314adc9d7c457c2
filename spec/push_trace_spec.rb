# frozen_string_literal: true

require "objspace"
require_relative "support/corpus"
require_relative "support/tracer_span"

RSpec.describe Datadog::NativeExport::TraceChunks, "#push_trace" do
  subject(:chunks) { described_class.new }

  let(:exporter) { Datadog::NativeExport::Exporter.new(agent_url: @agent.url) }

  around do |example|
    # So that events are sent in one form from the first request on.
    Datadog::NativeExport::Testing::Agent.start(info: { span_events: false }) do |agent|
      @agent = agent
      example.run
    ensure
      exporter.shutdown(timeout: 10)
    end
  end

  def tracer_span(...) = Support::TracerSpan.build(...)

  # What the agent gets for the traces.
  def sent(*traces)
    traces.each { |spans| chunks.push_trace(spans) }
    raise "not sent" unless exporter.send_trace_chunks(chunks, timeout: 10).ok?

    @agent.traces
  end

  # The tag or metric, or other field, that the agent gets for an odd value, and how it is counted.
  def sent_for(fields)
    span = sent([tracer_span(**fields)]).dig(0, 0)
    [span, *exporter.stats.values_at(:values_repaired, :values_left_out)]
  end

  it "takes one chunk a trace" do
    traces = Array.new(3) { |i| Array.new(2) { |j| tracer_span(trace_id: i + 1, id: j + 1, name: "#{i}.#{j}") } }

    expect(traces.map { |spans| chunks.push_trace(spans) }).to eq([true, true, true])
    expect(chunks).to have_attributes(size: 3, span_count: 6)
    expect(sent.map { |trace| trace.map { |span| span["name"] } }).to eq([%w[0.0 0.1], %w[1.0 1.1], %w[2.0 2.1]])
  end

  it "takes no trace at all" do
    expect(chunks.push_trace([])).to be(true)
    expect(chunks).to be_empty
  end

  it "makes no Ruby object" do
    spans = Array.new(10) do |i|
      tracer_span(id: 2**63 + i, trace_id: 2**100 + 1, meta: { "a" => "b" * i }, metrics: { "m" => 0.1 * i, "n" => i })
    end
    chunks.push_trace(spans)
    made = lambda do |times|
      before = GC.stat(:total_allocated_objects)
      times.times { chunks.push_trace(spans) }
      GC.stat(:total_allocated_objects) - before
    end
    made.call(1)

    expect(made.call(100)).to eq(made.call(1))
  end

  it "sends text of other encodings as UTF-8" do
    span, *counts = sent_for(
      name: "naïve".encode("ISO-8859-1"), resource: :symbol,
      meta: { "k1" => "日本".encode("Shift_JIS"), "k2" => "é".b, "k3" => "x".encode("UTF-16LE"), k4: :v4 }
    )

    expect(span).to include("name" => "naïve", "resource" => "symbol")
    expect(span["meta"]).to include("k1" => "日本", "k2" => "é", "k3" => "x", "k4" => "v4")
    expect(counts).to eq([0, 0])
  end

  it "keeps the last of the tags that share a key" do
    span, = sent_for(meta: { "k" => "1", other: "2", k: "3" }, metrics: { "m" => 1, m: 2 })

    expect(span["meta"]).to include("k" => "3", "other" => "2")
    expect(span["metrics"]).to eq("m" => 2.0)
  end

  # Fields of a span, what of it the agent gets, and how many values are repaired and left out.
  {
    "an Integer as a tag" => [{ meta: { "k" => 200 } }, { "meta" => { "k" => "200" } }, 1, 0],
    "a Float as a tag" => [{ meta: { "k" => 0.5 } }, { "meta" => { "k" => "0.5" } }, 1, 0],
    "true as a tag" => [{ meta: { "k" => true } }, { "meta" => { "k" => "true" } }, 1, 0],
    "false as a tag" => [{ meta: { "k" => false } }, { "meta" => { "k" => "false" } }, 1, 0],
    "false as a key" => [{ meta: { false => "v" } }, {}, 0, 1],
    "false as a service" => [{ service: false }, { "service" => "" }, 0, 1],
    "nil as a tag" => [{ meta: { "k" => nil, "l" => "v" } }, { "meta" => { "l" => "v" } }, 0, 1],
    "an Object as a tag" => [{ meta: { "k" => Object.new, "l" => "v" } }, { "meta" => { "l" => "v" } }, 0, 1],
    "a key that is no text" => [{ meta: { 1 => "v", nil => "v" } }, {}, 0, 2],
    "broken text" => [{ meta: { "k" => "a\xFF" } }, { "meta" => { "k" => "a\uFFFD" } }, 1, 0],
    "broken text in keys" => [{ meta: { "\xFE" => "1", "\xFF" => "2" } }, { "meta" => { "\uFFFD" => "2" } }, 2, 0],
    "a broken name" => [{ name: "\xFF" }, { "name" => "\uFFFD" }, 1, 0],
    "no Hash of tags" => [{ meta: [1], metrics: "x" }, {}, 0, 2],
    "NaN as a metric" => [{ metrics: { "m" => Float::NAN, "n" => 1 } }, { "metrics" => { "n" => 1.0 } }, 0, 1],
    "text as a metric" => [{ metrics: { "m" => "1" } }, {}, 0, 1],
    "nil as a metric" => [{ metrics: { "m" => nil } }, {}, 0, 1],
    "infinity as a metric" => [{ metrics: { "m" => Float::INFINITY } }, { "metrics" => { "m" => Float::INFINITY } }, 0,
                               0],
    "a Rational as a metric" => [{ metrics: { "m" => 1/2r } }, { "metrics" => { "m" => 0.5 } }, 0, 0],
    "a huge Integer as a metric" => [{ metrics: { "m" => 10**400 } }, {}, 0, 1],
    "a number as a service" => [{ service: 3 }, { "service" => "" }, 0, 1],
    "no service, resource, type" => [{ service: nil, resource: nil, type: nil }, { "service" => "", "resource" => "" },
                                     0, 0],
    "a parent that is out of range" => [{ parent_id: -1 }, {}, 0, 1],
    "a status that is no number" => [{ status: "1" }, {}, 0, 1],
    "a start that is no time" => [{ start_time: "now" }, { "start" => 0 }, 0, 1],
    "a duration that is NaN" => [{ duration: Float::NAN }, { "duration" => 0 }, 0, 1],
    "a duration out of range" => [{ duration: 1e300 }, { "duration" => 0 }, 0, 1],
    "a negative duration" => [{ duration: -0.25 }, { "duration" => -250_000_000 }, 0, 0],
    "no times" => [{ start_time: nil, duration: nil }, { "start" => 0, "duration" => 0 }, 0, 0],
    "an Object in metastruct" => [{ metastruct: { "a" => Object.new, "b" => 1 } }, { "meta_struct" => { "b" => 1 } },
                                  0, 1],
    "a link without an id" => [{ links: [Support::TracerSpan.object(trace_id: 0, span_id: 1)] }, {}, 0, 1],
    "an event without a time" => [{ events: [Support::TracerSpan.object(name: "x"), 3] }, {}, 0, 2]
  }.each do |name, (fields, expected, repaired, left_out)|
    it "sends #{name} as it can, and counts it" do
      span, *counts = sent_for(fields)

      expected.each do |field, value|
        if value.is_a?(Hash)
          expect(span[field]).to(include(value))
        else
          expect(span[field].nil? ? "" : span[field]).to(eq(value))
        end
      end
      expect(span["meta"].keys - ["_dd.sdk.otlp_export"]).to eq(expected.fetch("meta", {}).keys)
      expect(span.fetch("metrics", {}).keys).to eq(expected.fetch("metrics", {}).keys)
      expect(counts).to eq([repaired, left_out])
    end

    next if repaired + left_out == 0

    it "refuses #{name} when strict" do
      good = tracer_span
      expect { chunks.push_trace([good, tracer_span(id: 2, **fields)], strict: true) }
        .to raise_error(StandardError, /\Aspans\[1\]\.\w+/)
      expect(chunks).to be_empty
      expect(chunks.push_trace([good], strict: true)).to be(true)
    end
  end

  # What costs its trace, and what is said about it.
  {
    "no id" => [{ id: nil }, TypeError, "spans[1].span_id: expected Integer, got nil"],
    "an id of 0" => [{ id: 0 }, RangeError, "spans[1].span_id: expected 1 to 2**64-1, got Integer (0)"],
    "an id beyond 64 bits" => [{ id: 2**64 }, RangeError, /spans\[1\]\.span_id: expected 1 to 2\*\*64-1/],
    "no trace id" => [{ trace_id: nil }, TypeError, "spans[1].trace_id: expected Integer, got nil"],
    "a trace id of which the agent sees 0" => [{ trace_id: 1 << 64 }, RangeError, /lower 64 bits are not 0/],
    "a trace id beyond 128 bits" => [{ trace_id: 2**128 }, RangeError, /1 to 2\*\*128-1/],
    "another trace id" => [{ trace_id: 2 }, ArgumentError, "spans[1].trace_id: expected 0x1 like the first, got 0x2"]
  }.each do |name, (fields, error, message)|
    it "does without a trace that has a span with #{name}, and counts it" do
      bad = [tracer_span(id: 3), tracer_span(id: 4, **fields)]
      chunks.push_trace([tracer_span(id: 1)])

      expect(chunks.push_trace(bad)).to be(false)
      expect { chunks.push_trace(bad, strict: true) }.to raise_error(error, message)
      expect(sent([tracer_span(id: 2)]).flatten.map { |span| span["span_id"] }).to eq([1, 2])
      expect(exporter.stats).to include(spans_exported: 4, spans_sent: 2, spans_dropped: 2)
      expect(exporter.stats[:dropped]).to include(invalid: 2)
      expect(exporter.stats[:last_error]).to match(message.is_a?(String) ? Regexp.escape(message) : message)
    end
  end

  it "does without a trace with an id of -1 after a span that is out of the ordinary" do
    link = Support::TracerSpan.object(trace_id: 7, span_id: 7)

    expect(chunks.push_trace([tracer_span(links: [link]), tracer_span(id: 2, trace_id: -1)])).to be(false)
  end

  it "fills requests by what text weighs in them, however many spans share it" do
    tag = -("x" * 100_000)
    traces = Array.new(4) { |i| Array.new(40) { |j| tracer_span(trace_id: i + 1, id: j + 1, meta: { "tag" => tag }) } }

    expect(sent(*traces).size).to eq(4)
    expect(exporter.stats).to include(payloads_sent: 4, bytes_sent: be > 16_000_000)
  end

  it "does without what is no span" do
    expect(chunks.push_trace([tracer_span, "span"])).to be(false)
    expect { chunks.push_trace(["span"], strict: true) }
      .to raise_error(TypeError, "spans[0].span: expected a tracer's span, got String")
    expect { chunks.push_trace(tracer_span) }.to raise_error(TypeError, /spans: expected Array/)
    expect { chunks.push_trace(nil) }.to raise_error(TypeError, "spans: expected Array, got nil")
  end

  it "delivers 999 of a thousand traces whole when one is bad" do
    traces = Array.new(1_000) do |i|
      [tracer_span(trace_id: i + 1, id: i == 500 ? 0 : 1, meta: { "number" => i.to_s })]
    end

    expect(traces.map { |spans| chunks.push_trace(spans) }.count(true)).to eq(999)
    numbers = sent.map { |trace| Integer(trace[0]["meta"]["number"]) }
    expect(numbers).to eq([*0...500, *501...1_000])
    expect(exporter.stats[:dropped]).to include(invalid: 1)
  end

  it "raises what comes from outside, and stays usable" do
    interrupting = Class.new { def to_s = raise(Interrupt, "now") }.new
    link = Support::TracerSpan.object(trace_id: 1, span_id: 1, attributes: { "a" => interrupting })

    expect { chunks.push_trace([tracer_span(links: [link])]) }.to raise_error(Interrupt)
    expect(sent([tracer_span])).to match([[a_hash_including("span_id" => 1)]])
  end

  it "may be called again by what it calls" do
    inner = chunks
    calling = Class.new do
      define_method(:to_s) { inner.push_trace([Support::TracerSpan.build(trace_id: 9)]).to_s }
    end
    link = Support::TracerSpan.object(trace_id: 1, span_id: 1, attributes: { "a" => calling.new })

    expect(chunks.push_trace([tracer_span(links: [link]), tracer_span(id: 2)])).to be(true)
    expect(sent.map { |trace| trace.map { |span| span["trace_id"] } }).to eq([[9], [1, 1]])
  end

  it "is safe under GC.stress" do
    traces = Support::Corpus.cases.first(15).map do |recorded|
      recorded.spans.map { |span| Support::TracerSpan.recorded(span) }
    end
    GC.stress = true
    traces.each { |spans| chunks.push_trace(spans) }
    GC.stress = false
    expected = described_class.new
    traces.each { |spans| expected.push_trace(spans) }

    under_stress = sent
    @agent.clear
    exporter.send_trace_chunks(expected, timeout: 10)
    expect(@agent.traces == under_stress).to be(true)
  ensure
    GC.stress = false
  end

  it "finds the same text wherever the garbage collector has moved it" do
    spans = Array.new(50) { |i| tracer_span(id: i + 1, meta: { "key" => -"constant", "k#{i}" => "v#{i}" }) }
    before = sent(spans)
    GC.compact
    @agent.clear
    @chunks = described_class.new.tap { |moved| moved.push_trace(spans) }
    exporter.send_trace_chunks(@chunks, timeout: 10)

    expect(@agent.traces == before).to be(true)
  rescue NotImplementedError
    skip "this Ruby can't compact its heap"
  end

  # Text is known by the address of its String from one trace of a list to the next.
  it "takes no String for one that was there before it" do
    expected = Array.new(100) { |i| { "key #{i}" => "value #{i}", "constant" => i.to_s } }
    expected.each_with_index do |meta, i|
      frozen = -> { meta.to_h { |key, value| [key.dup.freeze, value.dup.freeze] } }
      chunks.push_trace([tracer_span(id: i + 1, meta: frozen.call)])
      (i % 10).zero? && GC.respond_to?(:compact) ? GC.compact : GC.start
    end
    expect(sent.map { |spans| spans[0]["meta"].except("_dd.sdk.otlp_export") }).to eq(expected)
  end

  it "keeps text once that traces share, also after one that failed" do
    name = ("shared " * 200).freeze
    traces = Array.new(20) { |i| [tracer_span(id: i + 1, name:, resource: name, meta: { "key" => name })] }
    failing = [tracer_span(name:, service: "not sent"), tracer_span(id: "none")]
    [*traces.first(10), failing, *traces.last(10)].each { |spans| chunks.push_trace(spans) }

    expect(ObjectSpace.memsize_of(chunks)).to be < 10 * name.bytesize
    expect(sent.flatten.map { |span| span.values_at("span_id", "name", "service") })
      .to eq(Array.new(20) { |i| [i + 1, name, "shop"] })
  end

  it "delivers large traces among small ones, and has nothing queued then" do
    values = ["small", "large" * 100_000, "small", "\xFF" * 300_000, "small"]
    values.each_with_index { |value, i| chunks.push_trace([tracer_span(id: i + 1, meta: { "key" => value })]) }
    chunks.begin_chunk

    expect(sent.map { |spans| spans[0]["meta"]["key"] }).to eq(values.map(&:scrub))
    expect(exporter.stats).to include(spans_sent: 5, bytes_queued: 0, spans_queued: 0)
  end

  # Whoever decodes a map sees one of them in any case, and of a first span the library sends one.
  it "sends one of the keys that identity alone tells apart" do
    identity = %w[1 2].each_with_object({}.compare_by_identity) { |value, meta| meta["a".dup] = value }
    bytes = [identity, { "a" => "2" }].map do |meta|
      before = exporter.stats[:bytes_sent]
      own = described_class.new.tap { |one| one.push_trace([tracer_span, tracer_span(id: 2, meta:)]) }
      exporter.send_trace_chunks(own, timeout: 10)
      exporter.stats[:bytes_sent] - before
    end
    expect(bytes).to all eq(bytes[0]).and be_positive
  end

  it "is consumed and frozen like anything else" do
    expect { described_class.new.freeze.push_trace([tracer_span]) }.to raise_error(FrozenError)
    exporter.export(chunks)
    expect { chunks.push_trace([tracer_span]) }.to raise_error(Datadog::NativeExport::ConsumedError)
  end
end
