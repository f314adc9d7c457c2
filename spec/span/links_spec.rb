# frozen_string_literal: true

RSpec.describe Datadog::NativeExport::Span, "#add_link" do
  it "sends what it is given" do
    span = build_span
    expect(span.add_link(trace_id: (5 << 64) | 6, span_id: 7)).to equal(span)
    span.add_link(trace_id: 1, span_id: 2, tracestate: "dd=s:1", flags: 0,
                  attributes: { "a" => "x", b: [1, [true, 2.5]], c: { d: :e }, "none" => nil })

    expect(sent(span)["span_links"]).to eq(
      [
        { "trace_id" => 6, "trace_id_high" => 5, "span_id" => 7 },
        {
          "trace_id" => 1, "trace_id_high" => 0, "span_id" => 2, "tracestate" => "dd=s:1", "flags" => 1 << 31,
          "attributes" => { "a" => "x", "b.0" => "1", "b.1.0" => "true", "b.1.1" => "2.5", "c.d" => "e" }
        }
      ]
    )
  end

  it "refuses what it can't send, and leaves the span as it was", :untyped do
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
      .to raise_error(ArgumentError, /attributes\["a.0"\]: this Array contains itself/)
    expect(span.links).to eq([])
  end

  it "refuses what a few Arrays inside each other would make of it" do
    nested = 40.times.inject(["x"]) { |inner, _| [inner, inner] }

    expect { build_span.add_link(trace_id: 1, span_id: 1, attributes: { a: nested }) }
      .to raise_error(ArgumentError, "attributes: expected at most 26214400 bytes in a span")
  end
end
