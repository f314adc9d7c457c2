# frozen_string_literal: true

RSpec.describe Datadog::NativeExport::TraceChunks, "#push_trace" do
  subject(:chunks) { described_class.new }

  it "takes one chunk a trace" do
    traces = Array.new(3) { |i| Array.new(2) { |j| tracer_span(trace_id: i + 1, id: j + 1, name: "#{i}.#{j}") } }

    expect(traces.map { |spans| chunks.push_trace(spans) }).to eq([true, true, true])
    expect(chunks).to have_attributes(size: 3, span_count: 6)
    names = deliver(chunks).traces.map { |trace| trace.map { |span| span["name"] } }
    expect(names).to eq([%w[0.0 0.1], %w[1.0 1.1], %w[2.0 2.1]])
  end

  it "takes no trace at all" do
    expect(chunks.push_trace([])).to be(true)
    expect(chunks).to be_empty
  end

  it "makes no Ruby object", :untyped do
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
      chunks = push_traces([tracer_span(id: 1)])

      expect(chunks.push_trace(bad)).to be(false)
      expect { chunks.push_trace(bad, strict: true) }.to raise_error(error, message)
      chunks.push_trace([tracer_span(id: 2)])
      arrived = deliver(chunks)
      expect(arrived.spans.map { |span| span["span_id"] }).to eq([1, 2])
      expect(arrived.stats).to include(spans_exported: 4, spans_sent: 2, spans_dropped: 2)
      expect(arrived.stats[:dropped]).to include(invalid: 2)
      expect(arrived.stats[:last_error]).to match(message.is_a?(String) ? Regexp.escape(message) : message)
    end
  end

  it "does without a trace with an id of -1 after a span that is out of the ordinary" do
    link = Support::TracerSpan.object(trace_id: 7, span_id: 7)

    expect(chunks.push_trace([tracer_span(links: [link]), tracer_span(id: 2, trace_id: -1)])).to be(false)
  end

  it "does without what is no span", :untyped do
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
    arrived = deliver(chunks)
    numbers = arrived.spans.map { |span| Integer(span["meta"]["number"]) }
    expect(numbers).to eq([*0...500, *501...1_000])
    expect(arrived.stats[:dropped]).to include(invalid: 1)
  end

  it "raises what comes from outside, and stays usable" do
    interrupting = Class.new { def to_s = raise(Interrupt, "now") }.new
    link = Support::TracerSpan.object(trace_id: 1, span_id: 1, attributes: { "a" => interrupting })

    expect { chunks.push_trace([tracer_span(links: [link])]) }.to raise_error(Interrupt)
    chunks.push_trace([tracer_span])
    expect(deliver(chunks).traces).to match([[a_hash_including("span_id" => 1)]])
  end

  it "may be called again by what it calls" do
    inner = chunks
    calling = Class.new do
      define_method(:to_s) { inner.push_trace([Support::TracerSpan.build(trace_id: 9)]).to_s }
    end
    link = Support::TracerSpan.object(trace_id: 1, span_id: 1, attributes: { "a" => calling.new })

    expect(chunks.push_trace([tracer_span(links: [link]), tracer_span(id: 2)])).to be(true)
    expect(deliver(chunks).traces.map { |trace| trace.map { |span| span["trace_id"] } }).to eq([[9], [1, 1]])
  end

  it "fills requests by what text weighs in them, however many spans share it" do
    tag = -("x" * 100_000)
    traces = Array.new(4) { |i| Array.new(40) { |j| tracer_span(trace_id: i + 1, id: j + 1, meta: { "tag" => tag }) } }

    arrived = deliver(push_traces(*traces))
    expect(arrived.traces.size).to eq(4)
    expect(arrived.stats).to include(payloads_sent: 4, bytes_sent: be > 16_000_000)
  end

  it "delivers large traces among small ones, and has nothing queued then" do
    values = ["small", "large" * 100_000, "small", "\xFF" * 300_000, "small"]
    values.each_with_index { |value, i| chunks.push_trace([tracer_span(id: i + 1, meta: { "key" => value })]) }
    chunks.begin_chunk

    arrived = deliver(chunks)
    expect(arrived.spans.map { |span| span["meta"]["key"] }).to eq(values.map(&:scrub))
    expect(arrived.stats).to include(spans_sent: 5, bytes_queued: 0, spans_queued: 0)
  end

  it "is consumed and frozen like anything else" do
    expect { described_class.new.freeze.push_trace([tracer_span]) }.to raise_error(FrozenError)
    build_exporter("http://127.0.0.1:#{free_port}").export(chunks)
    expect { chunks.push_trace([tracer_span]) }.to raise_error(Datadog::NativeExport::ConsumedError)
  end
end
