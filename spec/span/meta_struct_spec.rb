# frozen_string_literal: true

RSpec.describe Datadog::NativeExport::Span, "#set_meta_struct" do
  def sent_struct(value)
    sent(build_span.set_meta_struct(:k, value))["meta_struct"].fetch("k")
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

  def that_has(conversion, &made) = Class.new { define_method(conversion, &made) }.new

  it "sends what an object makes of itself" do
    objects = [that_has(:to_h) { { a: 1 } }, that_has(:to_ary) { [1, 2] }, that_has(:to_str) { "text" },
               that_has(:to_msgpack) { |packer| packer.write_map_header(1).write("b").write(2) }]

    expect(sent_struct(objects)).to eq([{ "a" => 1 }, [1, 2], "text", { "b" => 2 }])
  end

  it "refuses an object that makes more of itself than one value" do
    two = that_has(:to_msgpack) { |packer| packer.write(1).write(2) }

    expect { build_span.set_meta_struct("appsec", [two]) }
      .to raise_error(TypeError, /\Aappsec\[0\]: expected one value of MessagePack from to_msgpack, got #<Class/)
  end

  # Not as keys of a Hash, which would look at all of what is inside each other.
  [
    [{ "events" => [1, 2, 3, { when: Time.at(0) }] },
     TypeError,
     /\Aappsec\.events\[3\]\.when: expected nil, true, .*, or an object with to_msgpack, .*, got Time\z/],
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
