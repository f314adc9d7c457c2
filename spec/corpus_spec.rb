# frozen_string_literal: true

require_relative "support/corpus"
require_relative "support/tracer_span"

# Spans recorded from dd-trace-rb have to arrive as its own transport sent them.
RSpec.describe "The recorded spans of dd-trace-rb" do
  # What the agent gets for each case, decoded by the msgpack gem.
  def export_all(span_events:, &chunks_of)
    Datadog::NativeExport::Testing::Agent.start(info: { span_events: }) do |agent|
      exporter = Datadog::NativeExport::Exporter.new(agent_url: agent.url)
      wait_until { send_probe(exporter, agent).key?("span_events") } if span_events
      Support::Corpus.cases.to_h do |recorded|
        response = exporter.send_trace_chunks(chunks_of.call(recorded), timeout: 10)
        raise response.error unless response.ok?

        request = agent.requests.reverse_each.find { |sent| sent.path == "/v0.4/traces" }
        [recorded, MessagePack.unpack(request.body).fetch(0)]
      end
    ensure
      exporter&.shutdown(timeout: 10)
    end
  end

  # Events are sent as JSON until the agent has said that it takes them.
  def send_probe(exporter, agent)
    chunks = Datadog::NativeExport::TraceChunks.new.begin_chunk
    exporter.send_trace_chunks(chunks << build_span.add_event(name: "probe", time_unix_nano: 1), timeout: 10)
    agent.spans.last
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
      chunks = Datadog::NativeExport::TraceChunks.new
      spans = recorded.spans.map { |span| Support::TracerSpan.recorded(span) }
      raise "refused" unless chunks.push_trace(spans)

      chunks
    end
  }
  ways.each do |way, chunks_of|
    it "arrive the same #{way}, with typed events" do
      compare_all(export_all(span_events: true, &chunks_of), &:typed)
    end

    it "arrive the same #{way}, with events as JSON" do
      compare_all(export_all(span_events: false, &chunks_of), &:json)
    end
  end
end
