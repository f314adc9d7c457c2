# frozen_string_literal: true

require "logger"
require "stringio"
require_relative "../support/faults"

# An agent that is away: nothing is lost yet, and that it goes wrong is seen all the same.
RSpec.describe "Faults: an outage" do
  include_context "with a faulty agent"

  let(:log) { StringIO.new }

  it "is in last_error, with where and why, when a flush has run out of time" do
    agent.stop
    exporter.export(chunks(2))

    expect(exporter.flush(timeout: 0.3)).to be(false)
    expect(exporter.stats).to include(
      spans_dropped: 0, last_error: match(/#{Regexp.escape(agent.url)} cannot be reached: .*refused/)
    )
  end

  it "is told of once when it begins and once when it is over, though nothing was lost" do
    agent.stop
    exporter(logger: Logger.new(log)).export(chunks(1))
    3.times { exporter.flush(timeout: 0.2) }
    agent.start
    wait_until do
      exporter.export(chunks(1))
      exporter.flush(timeout: 10)
      log.string.lines.size > 1
    end

    expect(log.string.lines).to match(
      [/WARN.*Spans cannot be sent for now: .*#{Regexp.escape(agent.url)}.*refused/,
       /Spans reach the agent again; none were lost/]
    )
  end

  it "leaves spans where they can be counted: in flight" do
    release = Queue.new
    agent.usual = { wait: release }
    exporter(flush_interval: 0.01, agent_timeout: 30).export(chunks(2))
    wait_until { agent.attempts.any? }
    exporter.export(chunks(3))

    stats = exporter.stats
    expect(stats).to include(spans_exported: 5, spans_sent: 0, spans_dropped: 0)
    expect(stats.values_at(:spans_in_flight, :spans_queued)).to eq([2, 3]).or eq([5, 0])
    release.close
    expect_flush
    expect(exporter.stats).to include(spans_in_flight: 0, spans_sent: 5)
  end
end
