# frozen_string_literal: true

RSpec.describe Datadog::NativeExport::Span, "text" do
  it "arrives as UTF-8 whatever its encoding" do
    texts = {
      "utf8" => "Grüße 漢字 🎉", "utf16" => "Grüße".encode("UTF-16"), "utf16le" => "漢字".encode("UTF-16LE"),
      "sjis" => "漢字".encode("Shift_JIS"), "latin1" => "Grüße".encode("ISO-8859-1"),
      "ascii" => "plain".encode("US-ASCII"), "binary" => "Grüße".b, "jis" => "漢字".encode("ISO-2022-JP")
    }

    expect(tags(sent(build_span(meta: texts)))).to eq(
      "utf8" => "Grüße 漢字 🎉", "utf16" => "Grüße", "utf16le" => "漢字", "sjis" => "漢字", "latin1" => "Grüße",
      "ascii" => "plain", "binary" => "Grüße", "jis" => "漢字"
    )
  end

  it "has U+FFFD for what is broken" do
    texts = {
      "utf8" => "a\xFFb", "surrogate" => "\xED\xA0\x80", "binary" => "a\xFFb".b,
      "sjis" => "a\x81".dup.force_encoding("Shift_JIS"), "unknown" => "a\xFF".dup.force_encoding("UTF-7")
    }

    expect(tags(sent(build_span(meta: texts)))).to eq(
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
    deadline = now + 5
    nil until buffer.getbyte(0) == 0xFF || now > deadline

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
