# frozen_string_literal: true

require_relative "../support/faults"

RSpec.describe "Faults: a full queue" do
  include_context "with a faulty agent"

  it "gives up what has waited longest when it is told to, whole chunks of it" do
    exporter(max_queue_spans: 5, when_full: :drop_oldest).export(chunks(2, 2))

    expect(exporter.export(chunks(3))).to be(true)
    expect(exporter.stats).to include(spans_exported: 7, spans_dropped: 2, spans_queued: 5)
    # What can't be kept anyway costs nothing else.
    expect(exporter.export(chunks(6))).to be(false)
    expect(exporter.export(chunks(1))).to be(true)
    expect_flush
    expect_outcome(sent: 4, queue_full: 10)
    expect(agent.received.keys).to contain_exactly(5, 6, 7, 14)
    expect(exporter.stats[:last_error]).to match(/limit|full/)
  end

  it "keeps what is on its way to an agent that is away" do
    agent.stop
    exporter(max_queue_spans: 10, when_full: :drop_oldest, flush_interval: 0.01).export(chunks(1))
    wait_until { exporter.stats[:retries].positive? }
    taken = Array.new(14) { exporter.export(chunks(1)) }
    agent.start

    expect(taken).to all(be(true))
    expect_flush
    expect_outcome(sent: 10, queue_full: 5)
    expect(agent.received.keys).to contain_exactly(1, *7..15)
  end

  it "stays within its bound in bytes while the agent is away, and takes spans again afterwards" do
    exporter(max_queue_bytes: 100_000, flush_interval: 0.01)
    agent.stop
    taken = Array.new(30) { exporter.export(chunks(1, meta: { "k" => "x" * 10_000 })) }

    expect(taken.count(true)).to be_between(4, 10)
    expect(exporter.stats[:dropped]).to include(queue_full: taken.count(false))
    agent.start
    expect_flush
    expect_outcome(sent: taken.count(true), queue_full: taken.count(false))
    expect(exporter.export(chunks(1))).to be(true)
    expect_flush
  end
end
