# frozen_string_literal: true

require "json"

RSpec.describe Datadog::NativeExport::Span, "#add_event" do
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
    arrived = deliver_span(span)

    expect(JSON.parse(tags(arrived.spans[0])["events"])).to eq(
      [{ "name" => "exception", "time_unix_nano" => 5, "attributes" => plain }]
    )
    expect(arrived.stats).to include(values_left_out: attributes.size - plain.size)
  end

  it "takes a Time" do
    span = build_span.add_event(name: :tick, time: Time.at(1, 5, :nanosecond))

    expect(span.events).to eq([{ name: "tick", time_unix_nano: 1_000_000_005, attributes: {} }])
  end

  it "refuses what it can't send, and leaves the span as it was", :untyped do
    span = build_span

    expect { span.add_event(name: "x") }.to raise_error(ArgumentError, /one of time: and time_unix_nano:/)
    expect { span.add_event(name: "x", time: Time.now, time_unix_nano: 1) }.to raise_error(ArgumentError)
    expect { span.add_event(name: "x", time: 1) }.to raise_error(TypeError, "time: expected Time, got Integer (1)")
    expect { span.add_event(name: "x", time: Time.at(-1)) }.to raise_error(RangeError, /1970/)
    expect { span.add_event(name: "x", time_unix_nano: 1.5) }.to raise_error(TypeError, /time_unix_nano: expected/)
    expect { span.add_event(name: "x", time_unix_nano: 1 << 64) }.to raise_error(RangeError, /0 to 2\*\*64-1/)
    expect { span.add_event(name: nil, time_unix_nano: 1) }.to raise_error(TypeError, /name/)
    expect { span.add_event(name: "x", time_unix_nano: 1, attributes: { 1 => 1 }) }.to raise_error(TypeError)
    expect(span.events).to eq([])
  end
end
