# frozen_string_literal: true

require "json"
require "msgpack"
require "objspace"

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
      { trace_id: 1 << 128 } => "trace_id: expected 1 to 2**128-1, got Integer",
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

      subclass = Class.new(String)
      mutable = { subclass.new("c") => "first", (last = subclass.new("d")) => "last" }
      last.replace("c")

      expect(sent(build_span(meta: meta))["meta"]).to include("a" => "last", "é" => "last")
      expect(build_span(meta: mutable).meta).to eq("c" => "last")
      expect(build_span(meta: mutable).to_h[:meta].size).to eq(1)
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

    it "is repaired where Ruby takes it for valid" do
      broken = "a\xEB\xC3\x9A".dup.force_encoding("UTF8-SoftBank")
      encoded = broken.encode("UTF-8", invalid: :replace, undef: :replace)

      names = [broken, encoded].map { |text| build_span(name: text).name }
      expect(names).to all(be_valid_encoding.and(start_with("a")))
    end

    it "is repaired where it changed after Ruby looked at it" do
      reader, writer = IO.pipe
      buffer = "é" * 10
      thread = Thread.new { reader.readpartial(20, buffer) }
      wait_until { thread.stop? }
      expect(buffer).to be_valid_encoding
      # The kernel fills the buffer while this thread goes on, and Ruby does not know yet.
      writer.write_nonblock("\xFF" * 20)
      busy_until = now + 0.02
      nil while now < busy_until

      expect(build_span(meta: { "k" => buffer }).meta["k"]).to be_valid_encoding
      thread.join
    end

    it "keeps NUL and any length" do
      long = "é" * 1_000_000

      expect(sent(build_span(resource: long, meta: { "nul\0" => "a\0b" }))).to include(
        "resource" => long, "meta" => a_hash_including("nul\0" => "a\0b")
      )
    end
  end

  describe "#set_meta_struct" do
    def sent_struct(value)
      MessagePack.unpack(sent_raw(build_span.set_meta_struct(:k, value))["meta_struct"].fetch("k"))
    end

    it "encodes what MessagePack has" do
      value = {
        "nil" => nil, "booleans" => [true, false], "float" => 1.5, "symbol" => :s, 3 => "integer key", sym: "symbol",
        "integers" => [0, 127, 128, 255, 256, 65_535, 65_536, 4_294_967_296, (1 << 64) - 1, -1, -32, -33, -129, -32_769,
                       -2_147_483_649, -(1 << 63)],
        "texts" => ["", "é", "x" * 40, "x" * 300, "x" * 70_000], "empty" => [[], {}], "long" => [1] * 70_000,
        "map" => (0..70_000).to_h { |i| [i, i] }
      }

      expected = value.transform_keys { |key| key.is_a?(Symbol) ? key.to_s : key }.merge("symbol" => "s")
      expect(sent_struct(value) == expected).to be(true)
      expect(sent_struct(Float::INFINITY)).to eq(Float::INFINITY)
    end

    it "sends text as text and bytes as bytes" do
      sent = sent_struct(["é".encode("UTF-16LE"), "é".b, "\xFF".b, "a\xFF"])

      expect(sent).to eq(["é", "é", "\xFF".b, "a\uFFFD"])
      expect(sent.map(&:encoding)).to eq([Encoding::UTF_8, Encoding::UTF_8, Encoding::BINARY, Encoding::UTF_8])
    end

    # Not as keys of a Hash, which would look at all of what is inside each other.
    [
      [{ "events" => [1, 2, 3, { when: Time.at(0) }] },
       TypeError,
       "appsec.events[3].when: expected nil, true, false, Integer, Float, String, Symbol, Array or Hash, got Time"],
      [Object.new, TypeError, /\Aappsec: expected nil, .* got Object\z/],
      [[[1 << 64]], RangeError, "appsec[0][0]: expected -2**63 to 2**64-1, got Integer (#{1 << 64})"],
      [{ a: -(1 << 63) - 1 }, RangeError, /\Aappsec.a: expected -2/],
      [{ "a" => { [1] => 2 } }, TypeError, "appsec.a: expected String, Symbol or Integer as a key, got Array"],
      [["x"].tap { |array| array << { "self" => array } }, ArgumentError, "appsec[1].self: this Array contains itself"],
      [64.times.inject("x") { |inner, _| [inner] }],
      [65.times.inject("x") { |inner, _| [inner] },
       ArgumentError, /\]: expected at most 64 Arrays and Hashes inside each other\z/],
      ["x" * 27_000_000, ArgumentError, "appsec: expected at most 26214400 bytes of MessagePack"],
      [50.times.inject("x" * 1_000) { |inner, _| [inner, inner] },
       ArgumentError, /: expected at most 26214400 bytes of MessagePack/]
    ].each_with_index do |(value, error, message), index|
      it "#{error ? "refuses" : "takes"} value #{index}, and leaves the span as it was" do
        span = build_span.set_meta_struct("appsec", 1)

        if error
          expect { span.set_meta_struct("appsec", value) }.to raise_error(error, message)
          expect(span.meta_struct).to eq("appsec" => 1)
        else
          expect { span.set_meta_struct("appsec", value) }.not_to raise_error
        end
      end
    end
  end

  describe "#add_link" do
    it "sends what it is given" do
      span = build_span
      expect(span.add_link(trace_id: (5 << 64) | 6, span_id: 7)).to equal(span)
      span.add_link(trace_id: 1, span_id: 2, tracestate: "dd=s:1", flags: 0,
                    attributes: { "a" => "x", b: [1, [true, 2.5]], c: { d: :e }, "none" => nil })

      expect(sent_raw(span)["span_links"]).to eq(
        [
          { "trace_id" => 6, "trace_id_high" => 5, "span_id" => 7 },
          {
            "trace_id" => 1, "trace_id_high" => 0, "span_id" => 2, "tracestate" => "dd=s:1", "flags" => 1 << 31,
            "attributes" => { "a" => "x", "b.0" => "1", "b.1.0" => "true", "b.1.1" => "2.5", "c.d" => "e" }
          }
        ]
      )
    end

    it "refuses what it can't send, and leaves the span as it was" do
      span = build_span
      link = { trace_id: 1, span_id: 1 }
      unspeakable = Object.new.tap { |object| def object.to_s = raise("no") }

      expect { span.add_link(**link, trace_id: 0) }.to raise_error(RangeError, /trace_id/)
      expect { span.add_link(**link, span_id: "1") }.to raise_error(TypeError, /span_id/)
      expect { span.add_link(**link, flags: 1 << 31) }.to raise_error(RangeError, /flags: expected 0 to 2\*\*31-1/)
      expect { span.add_link(**link, tracestate: 1) }.to raise_error(TypeError, /tracestate/)
      expect { span.add_link(**link, attributes: []) }.to raise_error(TypeError, /attributes: expected Hash/)
      expect { span.add_link(**link, attributes: { 1 => 2 }) }.to raise_error(TypeError, /attributes key/)
      expect { span.add_link(**link, attributes: { a: unspeakable }) }.to raise_error("no")
      expect { span.add_link(**link, attributes: { a: [].tap { |array| array << array } }) }
        .to raise_error(ArgumentError, /attributes\["a.0"\]: expected at most 64/)
      expect(span.links).to eq([])
    end

    it "refuses what a few Arrays inside each other would make of it" do
      nested = 40.times.inject(["x"]) { |inner, _| [inner, inner] }

      expect { build_span.add_link(trace_id: 1, span_id: 1, attributes: { a: nested }) }
        .to raise_error(ArgumentError, "attributes: expected at most 26214400 bytes, with all keys")
    end
  end

  describe "#add_event" do
    let(:attributes) do
      {
        "s" => "x", sym: :y, "t" => true, "i" => -1, "f" => 2.5, "strings" => %w[a b], "integers" => [1, 2],
        "floats" => [1.5], "booleans" => [true, false], "none" => [],
        "nil" => nil, "object" => Object.new, "hash" => {}, "mixed" => [1, "x"], "nested" => [[1]], "nan" => Float::NAN,
        "large" => 1 << 63, "infinite" => [Float::INFINITY], "rational" => Rational(1, 2)
      }
    end
    let(:plain) do
      {
        "s" => "x", "sym" => "y", "t" => true, "i" => -1, "f" => 2.5, "strings" => %w[a b], "integers" => [1, 2],
        "floats" => [1.5], "booleans" => [true, false], "none" => []
      }
    end

    it "sends what the agent takes, and leaves out and counts the rest" do
      span = build_span.add_event(name: "exception", time_unix_nano: 5, attributes:)
      stats = nil
      meta = sent(span) { |exporter| stats = exporter.stats }["meta"]

      expect(JSON.parse(meta["events"])).to eq(
        [{ "name" => "exception", "time_unix_nano" => 5, "attributes" => plain }]
      )
      expect(stats).to include(values_left_out: attributes.size - plain.size)
    end

    it "takes a Time" do
      span = build_span.add_event(name: :tick, time: Time.at(1, 5, :nanosecond))

      expect(span.events).to eq([{ name: "tick", time_unix_nano: 1_000_000_005, attributes: {} }])
    end

    it "refuses what it can't send, and leaves the span as it was" do
      span = build_span

      expect { span.add_event(name: "x") }.to raise_error(ArgumentError, /one of time: and time_unix_nano:/)
      expect { span.add_event(name: "x", time: Time.now, time_unix_nano: 1) }.to raise_error(ArgumentError)
      expect { span.add_event(name: "x", time: 1) }.to raise_error(TypeError, "time: expected Time, got Integer")
      expect { span.add_event(name: "x", time: Time.at(-1)) }.to raise_error(RangeError, /1970/)
      expect { span.add_event(name: "x", time_unix_nano: 1.5) }.to raise_error(TypeError, /time_unix_nano: expected/)
      expect { span.add_event(name: "x", time_unix_nano: 1 << 64) }.to raise_error(RangeError, /0 to 2\*\*64-1/)
      expect { span.add_event(name: nil, time_unix_nano: 1) }.to raise_error(TypeError, /name/)
      expect { span.add_event(name: "x", time_unix_nano: 1, attributes: { 1 => 1 }) }.to raise_error(TypeError)
      expect(span.events).to eq([])
    end
  end

  describe "reading back" do
    let(:span) do
      described_class.new(
        name: "web.request", service: "é".encode("ISO-8859-1"), type: :web, trace_id: 1 << 100, span_id: 2, start: 3,
        duration: 4, parent_id: 5, error: 1, meta: { a: "b" }, metrics: { m: 1 }, meta_struct: { s: [{ x: nil }] },
        links: [{ trace_id: 1 << 70, span_id: 8, attributes: { a: [1] }, flags: 1, tracestate: "t" }],
        events: [{ name: "e", time_unix_nano: 9, attributes: { list: [1.5] } }]
      )
    end
    let(:held) do
      {
        name: "web.request", service: "é", resource: "web.request", type: "web", trace_id: 1 << 100, span_id: 2,
        parent_id: 5, start: 3, duration: 4, error: 1, meta: { "a" => "b" }, metrics: { "m" => 1.0 },
        meta_struct: { "s" => [{ "x" => nil }] },
        links: [{ trace_id: 1 << 70, span_id: 8, attributes: { "a.0" => "1" }, tracestate: "t", flags: 1 }],
        events: [{ name: "e", time_unix_nano: 9, attributes: { "list" => [1.5] } }]
      }
    end

    def deeply_frozen?(value)
      inner = value.respond_to?(:each) ? value.to_a : []
      inner = inner.flatten(1) if value.is_a?(Hash)
      value.frozen? && inner.all? { |element| deeply_frozen?(element) }
    end

    it "shows what the span holds, frozen" do
      expect(span.to_h).to eq(held)
      held.each do |field, value|
        read = span.public_send(field)
        expect([read, deeply_frozen?(read)]).to eq([value, true])
      end
    end

    it "gives what makes the same span" do
      expect(described_class.new(**span.to_h).to_h).to eq(span.to_h)
    end

    it "raises for a span that was handed over" do
      Datadog::NativeExport::TraceChunks.new.begin_chunk << span

      (held.keys + [:to_h]).each { |field| expect { span.public_send(field) }.to raise_error(errors::ConsumedError) }
    end
  end

  describe "#inspect" do
    it "is short and tells no values" do
      span = build_span(meta: { "password" => "secret" }, name: "x" * 1_000)

      expect(span.inspect).to match(/\A#<Datadog::NativeExport::Span "x{60}" trace_id=1 .* meta=1 metrics=0>\z/)
    end

    it "works in every state" do
      span = build_span
      Datadog::NativeExport::TraceChunks.new.begin_chunk << span

      expect(span.inspect).to eq("#<Datadog::NativeExport::Span consumed>")
      expect(described_class.allocate.inspect).to eq("#<Datadog::NativeExport::Span not initialized>")
    end
  end

  describe "ObjectSpace.memsize_of" do
    it "grows with what is held, and shrinks when it is handed over" do
      span = build_span
      small = ObjectSpace.memsize_of(span)
      span.set_meta("k", "x" * 100_000)
      chunks = Datadog::NativeExport::TraceChunks.new.begin_chunk

      expect(ObjectSpace.memsize_of(span)).to be_between(small + 100_000, small + 110_000)
      expect { chunks << span }.to change { ObjectSpace.memsize_of(span) }.to(be < small)
      expect(ObjectSpace.memsize_of(chunks)).to be > 100_000
    end

    it "charges what strings share once" do
      tags = (0...100).to_h { |i| ["key#{i}", "value#{i}"] }

      expect(ObjectSpace.memsize_of(build_span(meta: tags))).to be < 100 * 64 + 8_192
    end
  end

  it "makes no Ruby object for a tag" do
    allocated = lambda do |tags|
      meta = (0...tags).to_h { |i| ["key#{i}", "value#{i}"] }.freeze
      metrics = (0...tags).to_h { |i| ["metric#{i}", i] }.freeze
      GC.disable
      before = GC.stat(:total_allocated_objects)
      described_class.new(name: "x", trace_id: 1, span_id: 1, start: 0, duration: 0, meta:, metrics:)
      GC.stat(:total_allocated_objects) - before
    ensure
      GC.enable
    end
    allocated.call(10)

    expect(allocated.call(10)).to be <= 5
    expect(allocated.call(1_000)).to be_within(1).of(allocated.call(10))
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
