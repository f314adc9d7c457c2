# frozen_string_literal: true

# Entries are read from where Ruby keeps them, which depends on how many a Hash has, and had.
RSpec.describe Datadog::NativeExport::TraceChunks, "#push_trace and the Hashes of spans" do
  changes = {
    all: :itself, all_but_the_first: :shift, all_but_the_last: ->(hash) { hash.delete(hash.keys.last) },
    all_but_one: ->(hash) { hash.delete("k#{hash.size / 2}") }, one: ->(hash) { hash.shift until hash.one? },
    none: ->(hash) { hash.each_key { |key| hash.delete(key) } }, none_at_once: :clear,
    every_other: ->(hash) { hash.delete_if { |key, _| key[1..].to_i.odd? } },
    moved: ->(hash) { hash.keys.each_with_index { |key, i| hash["n#{i}"] = hash.delete(key) } }
  }
  sizes = [1, 2, 7, 8, 9, 15, 16, 17, 33, 200]
  kinds = {
    plain: :itself, rehashed: :rehash, copy: :dup, frozen: :freeze, copied: ->(hash) { hash.tap { hash.dup.clear } },
    default: ->(hash) { Hash.new("default").merge!(hash) },
    default_block: ->(hash) { Hash.new { raise "not to be called" }.merge!(hash) },
    subclass: ->(hash) { Class.new(Hash).new.merge!(hash) },
    by_identity: ->(hash) { hash.transform_keys(&:-@).compare_by_identity }
  }

  tags = { meta: ->(i) { "value #{i}" }, metrics: ->(i) { i + 0.5 } }

  # The tags or metrics of all spans.
  def arrived(chunks, field)
    deliver(chunks).spans.map { |span| field == :meta ? tags(span) : span[field.to_s].to_h }
  end

  # Two spans, since the library looks for equal keys in the first of a chunk.
  ways = {
    "push_trace" => ->(fields) { push_traces(Array.new(2) { tracer_span(**fields) }) },
    "Span.new" => ->(fields) { build_chunks(2, **fields) }
  }

  def filled(size, value) = Array.new(size) { |i| ["k#{i}", value.call(i)] }.to_h

  tags.each do |field, value|
    it "sends the #{field} of each" do
      hashes = sizes.product(changes.values).map { |size, change| filled(size, value).tap(&change) }
      hashes += [3, 12].product(kinds.values).map { |size, kind| kind.to_proc.call(filled(size, value)) }
      spans = hashes.map { |hash| tracer_span(field => hash) }
      chunks = described_class.new
      # More is known of the second.
      2.times { expect(chunks.push_trace(spans)).to be(true) }

      expect(arrived(chunks, field)).to eq(hashes.map { |hash| hash.to_a.to_h } * 2)
    end

    it "sends the #{field} of what is walked over meanwhile" do
      walked = [3, 12].map { |size| filled(size, value) }
      spans = walked.map { |hash| tracer_span(field => hash) }
      chunks = described_class.new
      walked[0].each { walked[1].each { chunks.push_trace(spans) } }

      expect(arrived(chunks, field)).to eq(walked * 36)
    end

    ways.each do |way, build|
      it "sends the last of the #{field} with equal keys, as a Hash by identity may have, by #{way}" do
        hash = {}.compare_by_identity
        # Frozen keys are taken for distinct ones elsewhere.
        5.times { |i| hash[(+"twice").freeze] = value.call(i) }
        sent = deliver(instance_exec({ field => hash }, &build))

        # A decoder would not tell that a key stands twice in a map.
        expect(sent.bodies.join.scan("twice").size).to eq(2)
        expect(sent.spans.map { |span| span[field.to_s]["twice"] }).to eq([value.call(4)] * 2)
      end
    end

    it "sends the #{field} of what grows from trace to trace" do
      hash = {}
      spans = [tracer_span(field => hash)]
      chunks = described_class.new
      expected = Array.new(40) do |i|
        chunks.push_trace(spans)
        hash.dup.tap { hash["k#{i}"] = value.call(i) }
      end

      expect(arrived(chunks, field)).to eq(expected)
    end
  end
end
