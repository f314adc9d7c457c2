# frozen_string_literal: true

RSpec.describe Datadog::NativeExport::Span do
  describe "#set_meta" do
    it "returns the span, and replaces a tag with the same key" do
      span = build_span(meta: { "env" => "dev" })

      expect(span.set_meta("env", "prod")).to equal(span)
      expect(tags(sent(span))).to eq("env" => "prod")
    end

    it "takes symbols, and leaves out nil" do
      span = build_span(meta: { kept: :yes, gone: nil, "later" => "x" }).set_meta(:later, nil)

      expect(tags(sent(span))).to eq("kept" => "yes")
    end

    it "sends one value for keys that become the same text" do
      meta = { "a" => "first", :a => "last", "é" => "first", "é".encode("UTF-16LE") => "last" }
      identical = { "b" => "first" }.compare_by_identity
      identical[+"b"] = "last"

      subclass = Class.new(String)
      mutable = { subclass.new("c") => "first", (last = subclass.new("d")) => "last" }
      last.replace("c")

      expect(tags(sent(build_span(meta:)))).to eq("a" => "last", "é" => "last")
      expect(build_span(meta: mutable).meta).to eq("c" => "last")
      expect(build_span(meta: mutable).to_h[:meta].size).to eq(1)
      expect(tags(sent(build_span(meta: identical)))).to eq("b" => "last")
    end

    it "refuses numbers and leaves the span as it was", :untyped do
      span = build_span(meta: { "k" => "v" })

      expect do
        span.set_meta("k", 1)
      end.to raise_error(TypeError, 'meta["k"]: expected String or Symbol, got Integer (1)')
      expect { span.set_meta(nil, "v") }.to raise_error(TypeError, "meta key: expected String or Symbol, got nil")
      expect(tags(sent(span))).to eq("k" => "v")
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

    it "refuses strings", :untyped do
      expect { build_span.set_metric("rows", "3") }
        .to raise_error(TypeError, 'metrics["rows"]: expected Integer, Float or Rational, got String')
    end
  end

  it "makes no Ruby object for a tag", :untyped do
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
end
