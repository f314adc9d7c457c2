# frozen_string_literal: true

# Any value of any field has to come to the same, whatever else the span and its trace have. A link is what few spans
# have, so that a span with one isn't taken for like the others.
RSpec.describe Datadog::NativeExport::TraceChunks, "#push_trace and any value" do
  subclasses = [String, Time].to_h { |type| [type, Class.new(type)] }
  keys = {
    text: ["", "x", "é", "é".b, "\xFF", "\xFF".b, "a".encode("UTF-16LE"), "é".encode("ISO-8859-1"),
           (+"x").force_encoding("ISO-8859-1"), (+"\xFF").force_encoding("US-ASCII"), :s, :é,
           subclasses[String].new("sub"), subclasses[String].new("sub").freeze],
    numbers: [0, -1, 1, 2**31 - 1, 2**31, -2**31, -2**31 - 1, 2**63, 2**64 - 1, 2**64, 2**127, 2**128, 10**400, 0.0,
              -0.0, 0.5, 5e-10, -5e-10, 0.1 + 0.2, 9e9, -9e9, 8_999_999_999.9999, 9.223372036e9, -9.3e9, Float::NAN,
              Float::INFINITY, 1/3r],
    times: [Time.at(0), Time.at(-1, 1, :nsec), Time.at(1.1), Time.at(1/3r), Time.at(-1/3r), Time.at(1).utc,
            Time.at(9_223_372_036, 854_775_807, :nsec), Time.at(9_223_372_036, 854_775_808, :nsec),
            Time.at(-9_223_372_037, 145_224_192, :nsec), Time.at(-9_223_372_037, 145_224_191, :nsec), Time.at(10**12),
            Time.at(10**30), subclasses[Time].at(5)],
    rest: [nil, true, false, Object.new, [], [1], {}, { "a" => "b" }, { "a" => 1 },
           Hash.new("default"), Class.new(Hash).new.merge!("a" => "b"),
           {}.compare_by_identity.merge!("a".dup => "1", "b".dup => "2")]
  }.values.flatten(1)
  # What has no hash is no key.
  values = [*keys, BasicObject.new, subclasses[Time].allocate]

  # A span with the fields first of all, and again where its text and its trace's id are known.
  def traces(cases, more)
    other = tracer_span(id: 3, links: [link])
    cases.flat_map do |fields|
      span = tracer_span(**more, **fields)
      [[span], [tracer_span(id: 2), span, span, other, span]]
    end
  end

  def link = Support::TracerSpan.object(trace_id: 7, span_id: 7)

  # What is taken, what the agent gets of it, and what is counted.
  def outcome(traces)
    chunks = described_class.new
    taken = traces.map { |spans| chunks.push_trace(spans) }
    arrived = deliver(chunks)
    sent = arrived.traces.map { |trace| trace.map { |span| comparable(span) } }
    { taken:, spans: taken.map { |is_taken| sent.shift if is_taken },
      counts: arrived.stats.slice(:values_repaired, :values_left_out, :spans_sent, :dropped) }
  end

  # Without what is not about the fields, in a form in which NaN equals itself.
  def comparable(span)
    span.except("span_links").merge("meta" => tags(span)).inspect
  end

  fields = %i[name service resource type id parent_id trace_id status start_time duration meta metrics metastruct]
  cases = fields.to_h { |field| [field, values.map { |value| { field => value } }] }
  cases[:end_time] = values.flat_map do |value|
    [{ end_time: value }, { end_time: value, duration: nil },
     { end_time: value, duration: nil, start_time: Time.at(-9) },
     { end_time: Time.at(-9), duration: nil, start_time: value }]
  end
  cases["a tag"] = values.map { |value| { meta: { "k" => value, "l" => "v" } } }
  cases["a metric"] = values.map { |value| { metrics: { "k" => value, "l" => 1 } } }
  cases["a key"] = keys.flat_map { |key| [{ meta: { key => "v", "x" => "w" } }, { metrics: { key => 1, "x" => 2 } }] }

  cases.each do |name, fields_of_cases|
    it "lowers any #{name} alike" do
      alone = outcome(traces(fields_of_cases, {}))
      linked = outcome(traces(fields_of_cases, { links: [link] }))

      different = alone.values_at(:taken, :spans).zip(linked.values_at(:taken, :spans)).flat_map do |one, other|
        one.each_index.reject { |index| one[index] == other[index] }
      end
      expect(different.map { |index| fields_of_cases[index / 2] }).to eq([])
      expect(alone[:counts]).to eq(linked[:counts])
      expect(alone[:spans].compact).not_to be_empty
    end
  end
end
