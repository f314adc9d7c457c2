# frozen_string_literal: true

RSpec.describe Datadog::NativeExport::Span, ".new" do
  it "lowers every field" do
    span = described_class.new(
      name: "web.request", service: "shop", resource: "GET /", type: "web",
      trace_id: 5, span_id: 7, parent_id: 3, start: 1_700_000_000_000_000_001, duration: 12_000_000, error: 1,
      meta: { "http.method" => "GET" }, metrics: { "_sampling_priority_v1" => 1 }
    )

    expect(sent(span)).to match(
      "name" => "web.request", "service" => "shop", "resource" => "GET /", "type" => "web",
      "trace_id" => 5, "span_id" => 7, "parent_id" => 3,
      "start" => 1_700_000_000_000_000_001, "duration" => 12_000_000, "error" => 1,
      "meta" => a_hash_including("http.method" => "GET"), "metrics" => { "_sampling_priority_v1" => 1.0 }
    )
  end

  it "needs no more than name, ids, start and duration; the resource is then the name" do
    span = described_class.new(name: "job", trace_id: 1, span_id: 1, start: 0, duration: 0)

    expect(sent(span)).to include("name" => "job", "resource" => "job", "service" => "", "span_id" => 1)
  end

  it "takes a Time to the nanosecond" do
    time = Time.at(1_700_000_000, 123_456_789, :nanosecond)

    expect(sent(build_span(start: time))).to include("start" => 1_700_000_000_123_456_789)
  end

  it "takes a Time before the epoch" do
    expect(sent(build_span(start: Time.at(-1, 5, :nanosecond)))).to include("start" => -999_999_995)
  end

  it "takes what stands for a Time, by to_time or by to_i and nsec" do
    likes = [Struct.new(:to_time).new(Time.at(1_700_000_000, 5, :nanosecond)),
             Struct.new(:to_i, :nsec).new(1_700_000_000, 5)]

    expect(likes.map { |like| build_span(start: like).start }).to all eq(1_700_000_000_000_000_005)
  end

  it "reaches the ends of every range" do
    highest = build_span(trace_id: (1 << 128) - 1, span_id: (1 << 64) - 1, parent_id: (1 << 64) - 1,
                         start: (1 << 63) - 1, duration: (1 << 63) - 1, error: (1 << 31) - 1)
    lowest = build_span(start: -(1 << 63), duration: -(1 << 63), error: -(1 << 31))

    expect(sent(highest)).to include(
      "trace_id" => (1 << 64) - 1, "span_id" => (1 << 64) - 1, "parent_id" => (1 << 64) - 1,
      "start" => (1 << 63) - 1, "duration" => (1 << 63) - 1, "error" => (1 << 31) - 1
    )
    expect(sent(lowest)).to include("start" => -(1 << 63), "duration" => -(1 << 63), "error" => -(1 << 31))
  end

  it "puts the high half of a 128-bit trace id into a tag" do
    expect(sent(build_span(trace_id: (0xabc << 64) | 9))).to include(
      "trace_id" => 9, "meta" => a_hash_including("_dd.p.tid" => "0000000000000abc")
    )
  end

  it "names a missing keyword and an unknown one", :untyped do
    expect { described_class.new(name: "x", trace_id: 1, span_id: 1, start: 0) }
      .to raise_error(ArgumentError, /missing keyword: :duration/)
    expect { build_span(tags: {}) }.to raise_error(ArgumentError, /unknown keyword: :tags/)
  end

  {
    { name: nil } => "name: expected String or Symbol, got nil",
    { name: 3 } => "name: expected String or Symbol, got Integer (3)",
    { service: [] } => "service: expected String or Symbol, got Array",
    { trace_id: "1" } => "trace_id: expected Integer, got String",
    { span_id: 1.5 } => "span_id: expected Integer, got Float (1.5)",
    { parent_id: nil } => "parent_id: expected Integer, got nil",
    { start: 1.5 } => "start: expected Time or Integer (nanoseconds), got Float (1.5)",
    { duration: 0.25 } => "duration: expected Integer (nanoseconds), got Float (0.25)",
    { error: true } => "error: expected Integer, got TrueClass",
    { meta: [] } => "meta: expected Hash, got Array",
    { meta: { "http.status" => 200 } } => 'meta["http.status"]: expected String or Symbol, got Integer (200)',
    { meta: { 1 => "x" } } => "meta key: expected String or Symbol, got Integer (1)",
    { meta: { "ok" => true } } => 'meta["ok"]: expected String or Symbol, got TrueClass',
    { metrics: { rows: "3" } } => 'metrics["rows"]: expected Integer, Float or Rational, got String'
  }.each do |field, message|
    it "refuses #{field}", :untyped do
      expect { build_span(**field) }.to raise_error(TypeError, message)
    end
  end

  {
    { trace_id: 0 } => "trace_id: expected 1 to 2**128-1, got Integer (0)",
    { trace_id: 1 << 128 } => "trace_id: expected 1 to 2**128-1, got Integer",
    { trace_id: 1 << 4096 } => "trace_id: expected 1 to 2**128-1, got Integer",
    { span_id: 0 } => "span_id: expected 1 to 2**64-1, got Integer (0)",
    { span_id: -1 } => "span_id: expected 1 to 2**64-1, got Integer (-1)",
    { span_id: 1 << 64 } => "span_id: expected 1 to 2**64-1, got Integer (#{1 << 64})",
    { parent_id: -1 } => "parent_id: expected 0 to 2**64-1, got Integer (-1)",
    { start: 1 << 63 } => "start: expected nanoseconds between -2**63 and 2**63-1, got Integer (#{1 << 63})",
    { start: Time.at(1 << 40) } => "start: expected a Time between 1677 and 2262, got Time",
    { start: Time.at(10**30) } => "start: expected a Time between 1677 and 2262, got Time",
    { duration: -(1 << 63) - 1 } =>
      "duration: expected nanoseconds between -2**63 and 2**63-1, got Integer (#{-(1 << 63) - 1})",
    { error: 1 << 31 } => "error: expected -2**31 to 2**31-1, got Integer (#{1 << 31})",
    { metrics: { "x" => 10**400 } } => 'metrics["x"]: expected a number that a 64-bit float can hold, got Integer'
  }.each do |field, message|
    it "refuses #{field.inspect[0, 60]} as out of range" do
      expect { build_span(**field) }.to raise_error(RangeError, message)
    end
  end
end
