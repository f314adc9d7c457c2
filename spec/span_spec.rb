# frozen_string_literal: true

RSpec.describe Datadog::NativeExport::Span do
  let(:errors) { Datadog::NativeExport }

  describe ".new" do
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

    it "names a missing keyword and an unknown one" do
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
      it "refuses #{field}" do
        expect { build_span(**field) }.to raise_error(TypeError, message)
      end
    end

    {
      { trace_id: 0 } => "trace_id: expected 1 to 2**128-1, got Integer (0)",
      { trace_id: 1 << 128 } => "trace_id: expected 1 to 2**128-1, got Integer (#{1 << 128})",
      { trace_id: 1 << 4096 } => "trace_id: expected 1 to 2**128-1, got Integer",
      { span_id: 0 } => "span_id: expected 1 to 2**64-1, got Integer (0)",
      { span_id: -1 } => "span_id: expected 1 to 2**64-1, got Integer (-1)",
      { span_id: 1 << 64 } => "span_id: expected 1 to 2**64-1, got Integer (#{1 << 64})",
      { parent_id: -1 } => "parent_id: expected 0 to 2**64-1, got Integer (-1)",
      { start: 1 << 63 } => "start: expected nanoseconds between -2**63 and 2**63-1, got Integer (#{1 << 63})",
      { start: Time.at(1 << 40) } => "start: expected a Time between 1677 and 2262, got Time",
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

  describe "#set_meta" do
    it "returns the span, and replaces a tag with the same key" do
      span = build_span(meta: { "env" => "dev" })

      expect(span.set_meta("env", "prod")).to equal(span)
      expect(sent(span)["meta"]).to include("env" => "prod")
    end

    it "takes symbols, and leaves out nil" do
      span = build_span(meta: { kept: :yes, gone: nil, "later" => "x" }).set_meta(:later, nil)

      expect(sent(span)["meta"]).to match("kept" => "yes", "_dd.sdk.otlp_export" => "false")
    end

    it "sends one value for keys that become the same text" do
      meta = { "a" => "first", :a => "last", "é" => "first", "é".encode("UTF-16LE") => "last" }
      identical = { "b" => "first" }.compare_by_identity
      identical[+"b"] = "last"

      expect(sent(build_span(meta: meta))["meta"]).to include("a" => "last", "é" => "last")
      expect(sent(build_span(meta: identical))["meta"]).to include("b" => "last")
    end

    it "refuses numbers and leaves the span as it was" do
      span = build_span(meta: { "k" => "v" })

      expect do
        span.set_meta("k", 1)
      end.to raise_error(TypeError, 'meta["k"]: expected String or Symbol, got Integer (1)')
      expect { span.set_meta(nil, "v") }.to raise_error(TypeError, "meta key: expected String or Symbol, got nil")
      expect(sent(span)["meta"]).to include("k" => "v")
    end

    it "refuses a frozen span" do
      expect { build_span.freeze.set_meta("k", "v") }.to raise_error(FrozenError)
    end
  end

  describe "#set_metric" do
    it "returns the span, and sends any real number as a float" do
      span = build_span(metrics: { "a" => 1, "b" => 2.5, "c" => Rational(1, 4), "d" => 1 << 80 })

      expect(span.set_metric("a", -3)).to equal(span)
      expect(sent(span)["metrics"]).to eq("a" => -3.0, "b" => 2.5, "c" => 0.25, "d" => (1 << 80).to_f)
    end

    it "sends infinities and leaves out NaN and nil" do
      span = build_span(metrics: { "inf" => Float::INFINITY, "nan" => Float::NAN, "nil" => nil })

      expect(sent(span)["metrics"]).to eq("inf" => Float::INFINITY)
    end

    it "refuses strings" do
      expect { build_span.set_metric("rows", "3") }
        .to raise_error(TypeError, 'metrics["rows"]: expected Integer, Float or Rational, got String')
    end
  end

  describe "text" do
    it "arrives as UTF-8 whatever its encoding" do
      texts = {
        "utf8" => "Grüße 漢字 🎉", "utf16" => "Grüße".encode("UTF-16"), "utf16le" => "漢字".encode("UTF-16LE"),
        "sjis" => "漢字".encode("Shift_JIS"), "latin1" => "Grüße".encode("ISO-8859-1"),
        "ascii" => "plain".encode("US-ASCII"), "binary" => "Grüße".b, "jis" => "漢字".encode("ISO-2022-JP")
      }

      expect(sent(build_span(meta: texts))["meta"]).to include(
        "utf8" => "Grüße 漢字 🎉", "utf16" => "Grüße", "utf16le" => "漢字", "sjis" => "漢字", "latin1" => "Grüße",
        "ascii" => "plain", "binary" => "Grüße", "jis" => "漢字"
      )
    end

    it "has U+FFFD for what is broken" do
      texts = {
        "utf8" => "a\xFFb", "surrogate" => "\xED\xA0\x80", "binary" => "a\xFFb".b,
        "sjis" => "a\x81".dup.force_encoding("Shift_JIS"), "unknown" => "a\xFF".dup.force_encoding("UTF-7")
      }

      expect(sent(build_span(meta: texts))["meta"]).to include(
        "utf8" => "a\uFFFDb", "surrogate" => "\uFFFD" * 3, "binary" => "a\uFFFDb", "sjis" => "a\uFFFD",
        "unknown" => "a\uFFFD"
      )
    end

    it "keeps NUL and any length" do
      long = "é" * 1_000_000

      expect(sent(build_span(resource: long, meta: { "nul\0" => "a\0b" }))).to include(
        "resource" => long, "meta" => a_hash_including("nul\0" => "a\0b")
      )
    end
  end

  it "has one owner" do
    span = build_span

    expect { span.dup }.to raise_error(TypeError, /can't copy/)
    expect { span.clone }.to raise_error(TypeError, /can't copy/)
    expect { Marshal.dump(span) }.to raise_error(TypeError)
  end

  it "can't be used before it is initialized, nor initialized twice" do
    expect { described_class.allocate.set_meta("k", "v") }.to raise_error(errors::Error, /not initialized/)
    expect { build_span.__send__(:lower, *Array.new(12)) }.to raise_error(errors::Error, /initialized already/)
  end

  it "can be subclassed" do
    subclass = Class.new(described_class) do
      def initialize(name) = super(name: name, trace_id: 1, span_id: 1, start: 0, duration: 0)
    end

    expect(sent(subclass.new("job"))).to include("name" => "job")
  end
end
