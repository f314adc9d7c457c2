# frozen_string_literal: true

RSpec.describe Datadog::NativeExport::TraceChunks, "#push_trace and odd values" do
  it "sends text of other encodings as UTF-8" do
    arrived = deliver(push_traces([tracer_span(
      name: "naïve".encode("ISO-8859-1"), resource: :symbol,
      meta: { "k1" => "日本".encode("Shift_JIS"), "k2" => "é".b, "k3" => "x".encode("UTF-16LE"), k4: :v4 }
    )]))

    expect(arrived.spans[0]).to include("name" => "naïve", "resource" => "symbol")
    expect(tags(arrived.spans[0])).to eq("k1" => "日本", "k2" => "é", "k3" => "x", "k4" => "v4")
    expect(arrived.stats).to include(values_repaired: 0, values_left_out: 0)
  end

  it "keeps the last of the tags that share a key" do
    meta = { "k" => "1", other: "2", k: "3" }
    span = deliver(push_traces([tracer_span(meta:, metrics: { "m" => 1, m: 2 })])).spans[0]

    expect(tags(span)).to eq("k" => "3", "other" => "2")
    expect(span["metrics"]).to eq("m" => 2.0)
  end

  it "reads the nanoseconds of a Time, which Ruby keeps as a number of one kind or another" do
    times = { Time.at(0) => 0, Time.at(-1, 1, :nsec) => -999_999_999, Time.at(1/3r) => 333_333_333,
              Time.at(-1/3r) => -333_333_334, Time.at(1_700_000_000, 1, :nsec).utc => 1_700_000_000_000_000_001,
              Time.at(4_611_686_018, 427_387_903, :nsec) => (2**62) - 1,
              Time.at(4_611_686_018, 427_387_904, :nsec) => 2**62,
              Class.new(Time).at(7) => 7_000_000_000 }
    spans = times.keys.map { |start_time| tracer_span(start_time:) }

    expect(deliver(push_traces(spans)).spans.map { |span| span["start"] }).to eq(times.values)
  end

  it "names the end where it can't tell how long a span took" do
    span = tracer_span(duration: nil, end_time: Time.at(10**30))

    expect { described_class.new.push_trace([span], strict: true) }
      .to raise_error(RangeError, "spans[0].end_time: expected a Time between 1677 and 2262, got Time")
  end

  # Whoever decodes a map sees one of them in any case, and of a first span the library sends one.
  it "sends one of the keys that identity alone tells apart" do
    identity = %w[1 2].each_with_object({}.compare_by_identity) { |value, meta| meta["a".dup] = value }
    sizes = [identity, { "a" => "2" }].map do |meta|
      deliver(push_traces([tracer_span, tracer_span(id: 2, meta:)])).stats[:bytes_sent]
    end
    expect(sizes.uniq.size).to eq(1)
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
    "a Time that was never initialized" => [{ start_time: Time.allocate }, { "start" => 0 }, 0, 1],
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
      arrived = deliver(push_traces([tracer_span(**fields)]))
      span = arrived.spans.fetch(0)

      expected.each do |field, value|
        if value.is_a?(Hash)
          expect(span[field]).to(include(value))
        else
          expect(span[field].nil? ? "" : span[field]).to(eq(value))
        end
      end
      expect(tags(span).keys).to eq(expected.fetch("meta", {}).keys)
      expect(span.fetch("metrics", {}).keys).to eq(expected.fetch("metrics", {}).keys)
      expect(arrived.stats).to include(values_repaired: repaired, values_left_out: left_out)
    end

    next if (repaired + left_out).zero?

    it "refuses #{name} when strict" do
      good = tracer_span
      chunks = described_class.new
      expect { chunks.push_trace([good, tracer_span(id: 2, **fields)], strict: true) }
        .to raise_error(StandardError, /\Aspans\[1\]\.\w+/)
      expect(chunks).to be_empty
      expect(chunks.push_trace([good], strict: true)).to be(true)
    end
  end
end
