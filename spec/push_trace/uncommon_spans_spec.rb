# frozen_string_literal: true

# What few spans have costs those spans their own work, and must neither change nor move the others of their trace.
RSpec.describe Datadog::NativeExport::TraceChunks, "#push_trace and the few spans that have" do
  object = ->(**variables) { Support::TracerSpan.object(**variables) }
  # Fields of a tracer's span, and what of it arrives.
  uncommon = {
    "a Symbol tag" => [{ meta: { "before" => "b", "uncommon" => :symbol, "after" => "a" } },
                       { "meta" => { "before" => "b", "uncommon" => "symbol", "after" => "a" } }],
    "a Symbol key" => [{ meta: { "before" => "b", uncommon_key: "value", "after" => "a" } },
                       { "meta" => { "before" => "b", "uncommon_key" => "value", "after" => "a" } }],
    "an Integer tag" => [{ meta: { "before" => "b", "uncommon" => 200, "after" => "a" } },
                         { "meta" => { "before" => "b", "uncommon" => "200", "after" => "a" } }],
    "a tag in another encoding" => [{ meta: { "before" => "b", "uncommon" => "é".encode("UTF-16LE") } },
                                    { "meta" => { "before" => "b", "uncommon" => "é" } }],
    "a Rational metric" => [{ metrics: { "before" => 1, "uncommon" => 1/2r, "after" => 2 } },
                            { "metrics" => { "before" => 1.0, "uncommon" => 0.5, "after" => 2.0 } }],
    "a link" => [{ links: [object.call(trace_id: 7, span_id: 8, attributes: { "a" => "b" })] },
                 { "span_links" => [{ "trace_id" => 7, "trace_id_high" => 0, "span_id" => 8,
                                      "attributes" => { "a" => "b" } }] }],
    "an event" => [{ events: [object.call(name: "e", time_unix_nano: 9, attributes: {})] },
                   { "span_events" => [{ "name" => "e", "time_unix_nano" => 9 }] }],
    "a meta_struct entry" => [{ metastruct: object.call(metastruct: { "appsec" => { "a" => [1] } }) },
                              { "meta_struct" => { "appsec" => { "a" => [1] } } }]
  }
  size = 4
  before { @id = 0 }

  # A span, and what has to arrive of it. Each has text of its own.
  def span_and_expected(fields = {}, expected = {})
    id = @id += 1
    own = { "own" => "tag #{id}", "shared" => "text" }
    plain = { "span_id" => id, "resource" => "r#{id}", "meta" => own, "metrics" => { "id" => id.to_f } }
    span = tracer_span(id:, resource: "r#{id}", **fields, meta: own.merge(fields.fetch(:meta, {})),
                       metrics: { "id" => id }.merge(fields.fetch(:metrics, {})))
    [span, plain.merge(expected) { |_, one, other| one.merge(other) }]
  end

  def arrived(traces)
    names = %w[span_id resource meta metrics span_links span_events meta_struct]
    deliver(push_traces(*traces), span_events: true).traces.map do |trace|
      trace.map { |span| span.slice(*names).merge("meta" => tags(span)) }
    end
  end

  def expect_arrival(traces)
    expect(arrived(traces.map { |trace| trace.map(&:first) })).to eq(traces.map { |trace| trace.map(&:last) })
  end

  uncommon.each do |name, (fields, expected)|
    it "#{name}, whichever of them these are" do
      traces = Array.new(2**size) do |number|
        Array.new(size) { |i| number[i] == 1 ? span_and_expected(fields, expected) : span_and_expected }
      end

      expect_arrival(traces)
      # Of text and classes that are known by now.
      expect_arrival(traces.reverse)
    end
  end

  it "any of these, in any order" do
    traces = uncommon.values.permutation(2).map do |one, other|
      [span_and_expected(*one), span_and_expected, span_and_expected(*other), span_and_expected(*one)]
    end

    expect_arrival(traces)
  end

  it "all of these at once" do
    fields, expected = uncommon.values.transpose.map do |all|
      all.reduce { |one, other| one.merge(other) { |_, left, right| left.merge(right) } }
    end
    traces = Array.new(size) do |position|
      Array.new(size) { |i| i == position ? span_and_expected(fields, expected) : span_and_expected }
    end

    expect_arrival(traces)
  end
end
