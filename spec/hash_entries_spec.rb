# frozen_string_literal: true

require_relative "support/tracer_span"

# Entries are read from where Ruby keeps them, which depends on how many a Hash has, and had.
RSpec.describe Datadog::NativeExport::TraceChunks, "#push_trace and the Hashes of spans" do
  kept = lambda do |size|
    {
      "all" => :itself, "all but the first" => :shift, "all but the last" => ->(hash) { hash.delete(hash.keys.last) },
      "all but one amid" => ->(hash) { hash.delete("k#{size / 2}") }, "one" => ->(hash) { hash.shift until hash.one? },
      "none" => ->(hash) { hash.each_key { |key| hash.delete(key) } }, "none at once" => :clear,
      "every other" => ->(hash) { hash.delete_if { |key, _| key[1..].to_i.odd? } },
      "new ones" => ->(hash) { size.times { |i| hash["n#{i}"] = hash.delete("k#{i}") } }
    }
  end
  made = ->(size) { Array.new(size) { |i| ["k#{i}", "v#{i} of #{size}"] }.to_h }
  hashes = [1, 2, 7, 8, 9, 15, 16, 17, 33, 200].flat_map do |size|
    kept[size].values.map { |change| made[size].tap(&change) }
  end
  [3, 12].each do |size|
    hashes.push({}.compare_by_identity.merge!(made[size]), Hash.new("default").merge!(made[size]),
                Hash.new { raise "not to be called" }.merge!(made[size]), Class.new(Hash).new.merge!(made[size]),
                made[size].rehash, made[size].dup, made[size].freeze, made[size].tap { |hash| hash.dup.clear })
  end

  def spans(hashes)
    hashes.map.with_index(1) do |hash, id|
      Support::TracerSpan.build(id:, meta: hash, metrics: hash.transform_values(&:sum))
    end
  end

  # Tags and metrics of each span, those of the tracer left out.
  def sent(chunks)
    Datadog::NativeExport::Testing::Agent.start do |agent|
      exporter = Datadog::NativeExport::Exporter.new(agent_url: agent.url)
      expect(exporter.send_trace_chunks(chunks, timeout: 20)).to be_ok
      return agent.traces.map do |trace|
        trace.map { |span| [span["meta"].to_h.reject { |key, _| key.start_with?("_dd.") }, span["metrics"].to_h] }
      end
    ensure
      exporter.shutdown(timeout: 10)
    end
  end

  def entries(hash) = [hash.to_a.to_h, hash.to_a.to_h.transform_values { |value| value.sum.to_f }]

  it "sends the entries of each" do
    spans = spans(hashes)
    chunks = described_class.new
    # More is known of the second.
    2.times { expect(chunks.push_trace(spans)).to be(true) }

    expected = hashes.map { |hash| entries(hash) }
    sent(chunks).each { |trace| expect(trace).to eq(expected) }
  end

  it "sends those of Hashes that are walked over meanwhile" do
    walked = [made[3], made[12]]
    chunks = described_class.new
    walked[0].each { walked[1].each { chunks.push_trace(spans(walked)) } }

    expect(sent(chunks)).to eq([walked.map { |hash| entries(hash) }] * 36)
  end

  it "sends those of one that grows from trace to trace" do
    hash = {}
    chunks = described_class.new
    expected = Array.new(40) do |i|
      chunks.push_trace(spans([hash]))
      [entries(hash)].tap { hash["k#{i}"] = "v#{i}" }
    end
    expect(sent(chunks)).to eq(expected)
  end
end
