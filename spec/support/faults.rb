# frozen_string_literal: true

require "tmpdir"
require_relative "fault_agent"

# An agent that misbehaves, on a Unix socket for examples with `unix: true`, and what has to hold whatever it did.
RSpec.shared_context "with a faulty agent" do
  around do |example|
    Dir.mktmpdir do |folder|
      path = File.join(folder, "apm.socket") if example.metadata[:unix]
      Support::FaultAgent.start(path: path) do |agent|
        @agent = agent
        @next_id = 0
        example.run
      end
    end
  end

  attr_reader :agent

  # Nothing leaves before a flush, unless an example says so.
  def exporter(**options)
    @exporter ||= build_exporter(flush_interval: 3_600, **options)
  end

  # One chunk for each Integer, with that many spans. No two spans of an example have the same id.
  def chunks(*span_counts, **fields)
    span_counts.each_with_object(Datadog::NativeExport::TraceChunks.new) do |count, chunks|
      chunks.begin_chunk
      count.times { chunks << build_span(span_id: @next_id += 1, **fields) }
    end
  end

  # With max_payload_bytes of 10,000 each of them is sent on its own.
  def export_payloads(count)
    count.times { expect(exporter.export(chunks(1, meta: { "k" => "x" * 6_000 }))).to be(true) }
  end

  def expect_flush
    expect(exporter.flush(timeout: 30)).to be(true)
  end

  # What holds whatever happened, once nothing is on its way.
  def expect_counts_to_add_up
    stats = exporter.stats
    expect(stats).to include(spans_queued: 0, chunks_queued: 0, bytes_queued: 0)
    expect(stats[:spans_exported]).to eq(@next_id).and eq(stats[:spans_sent] + stats[:spans_dropped])
    expect(stats[:spans_dropped]).to eq(stats[:dropped].values.sum)
    expect_agent_to_agree(stats[:spans_sent])
  end

  # More than was counted as sent, or more than once, arrives only where an answer was lost.
  def expect_agent_to_agree(sent)
    received = agent.received
    expect(agent.problems).to be_empty
    expect(received.keys - (1..@next_id).to_a).to be_empty
    expect(received.select { |_, count| count > 1 }.keys - agent.unanswered).to be_empty
    expect(received.size - sent).to be_between(0, agent.unanswered.size)
  end

  # Nothing arrived twice, and as much as was counted as sent.
  def expect_outcome(sent:, **dropped)
    expect_counts_to_add_up
    expect(exporter.stats).to include(spans_sent: sent)
    expect(exporter.stats[:dropped].reject { |_, spans| spans.zero? }).to eq(dropped)
    expect(agent.received.values).to eq([1] * sent)
  end
end
