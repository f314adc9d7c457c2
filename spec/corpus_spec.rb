# frozen_string_literal: true

require_relative "support/corpus"

# Spans recorded from dd-trace-rb have to arrive as its own transport sent them.
RSpec.describe "The recorded spans of dd-trace-rb" do
  # The spans that arrive of each case, with the values of meta_struct still encoded.
  def arrived(span_events:)
    Support::Corpus.cases.to_h do |recorded|
      [recorded, MessagePack.unpack(deliver(yield(recorded), span_events:).bodies.fetch(0)).fetch(0)]
    end
  end

  # The tag for the upper half of the trace id is this gem's to add; dd-trace-rb's formatter, which
  # was not in use, adds the same.
  def compare(sent, expected, recorded)
    sent = Support::Corpus.normalize(sent)
    high = recorded["trace_id"] >> 64
    added = sent["meta"].delete("_dd.p.tid") unless expected["meta"].key?("_dd.p.tid")
    expect(added).to be_nil.or eq(format("%016x", high))
    expect(sent).to eq(Support::Corpus.normalize(expected))
  end

  def compare_all(results)
    expect(results.size).to eq(120)
    results.each do |recorded, sent|
      expected = yield recorded
      expect(sent.size).to eq(expected.size)
      sent.each_index { |i| compare(sent[i], expected[i], recorded.spans[i]) }
      next if (recorded.spans.first["trace_id"] >> 64).zero?

      expect(sent.count { |span| span["meta"]&.key?("_dd.p.tid") }).to be >= 1
    end
  end

  ways = {
    "span by span" => :chunks.to_proc,
    "as the tracer's objects" => lambda do |recorded|
      spans = recorded.spans.map { |span| Support::TracerSpan.recorded(span) }
      Datadog::NativeExport::TraceChunks.new.tap { |chunks| raise "refused" unless chunks.push_trace(spans) }
    end
  }
  ways.each do |way, chunks_of|
    it "arrive the same #{way}, with typed events" do
      compare_all(arrived(span_events: true, &chunks_of), &:typed)
    end

    it "arrive the same #{way}, with events as JSON" do
      compare_all(arrived(span_events: false, &chunks_of), &:json)
    end
  end
end
