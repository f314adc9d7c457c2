# frozen_string_literal: true

require "objspace"

RSpec.describe Datadog::NativeExport::Span do
  let(:errors) { Datadog::NativeExport }

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

  # So that it collects spans as often as their weight asks for.
  describe "the garbage collector" do
    text = "x" * 1_000_000
    {
      "set_meta" => ->(span) { span.set_meta("k", text) }, "set_metric" => ->(span) { span.set_metric(text, 1) },
      "set_meta_struct" => ->(span) { span.set_meta_struct("k", text) },
      "add_link" => ->(span) { span.add_link(trace_id: 1, span_id: 1, attributes: { "k" => text }) },
      "add_event" => ->(span) { span.add_event(name: "e", time_unix_nano: 1, attributes: { "k" => text }) }
    }.each do |name, add|
      it "is told of what #{name} adds" do
        span = build_span
        GC.start
        GC.disable

        expect { add.call(span) }.to change { GC.stat(:malloc_increase_bytes) }.by_at_least(text.bytesize)
      ensure
        GC.enable
      end
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
