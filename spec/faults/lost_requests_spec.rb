# frozen_string_literal: true

require_relative "../support/faults"

# Requests without an answer: the spans have not been taken, or have, but nobody knows.
RSpec.describe "Faults: lost requests" do
  include_context "with a faulty agent"

  before_delivery = {
    "a reset before the request is read" => { reset: :request },
    "a reset in the middle of the request" => { reset: :body },
    "an answer that is no HTTP" => { raw: "220 mail.example.org ESMTP\r\n" },
    "a connection that is closed without an answer" => { raw: "" }
  }.freeze
  after_delivery = { "a reset instead of the answer" => { reset: :answer } }.freeze

  [{ unix: false }, { unix: true }].each do |transport|
    describe(transport[:unix] ? "over a Unix socket" : "over TCP", **transport) do
      before_delivery.each do |fault, step|
        it "delivers once after #{fault}" do
          agent.script(step)
          exporter.export(chunks(2, 1))

          expect_flush
          expect_outcome(sent: 3)
          expect(agent.attempts.size).to eq(2)
          expect(exporter.stats).to include(retries: 1, payloads_sent: 1)
        end
      end

      it "delivers when the agent has gone away and come back between two requests" do
        exporter.export(chunks(1))
        expect_flush
        agent.stop
        agent.start
        exporter.export(chunks(1))

        expect_flush
        expect_outcome(sent: 2)
      end

      it "counts as unreachable what nobody has taken until the deadline" do
        agent.stop
        exporter(retry_deadline: 0.2).export(chunks(2, 1))

        expect_flush
        expect_outcome(sent: 0, unreachable: 3)
        expect(exporter.stats[:last_error]).to match(/#{Regexp.escape(agent.url)}.* cannot be reached: .*[Cc]onnect/)
      end
    end
  end

  after_delivery.each do |fault, step|
    it "delivers again after #{fault}, and counts once" do
      agent.script(step)
      exporter(agent_timeout: 0.3).export(chunks(2, 1))

      expect_flush
      expect_counts_to_add_up
      expect(exporter.stats).to include(spans_sent: 3, payloads_sent: 1, retries: 1)
      expect(agent.received).to eq(1 => 2, 2 => 2, 3 => 2)
    end
  end

  it "delivers when the agent has closed connections that were idle" do
    3.times do
      exporter.export(chunks(1))
      expect_flush
      agent.disconnect
    end

    expect_outcome(sent: 3)
  end

  it "delivers what was exported while the agent was away, also after shutdown gave up" do
    agent.stop
    exporter(flush_interval: 0.01).export(chunks(2))
    wait_until { exporter.stats[:spans_queued].zero? }
    exporter.export(chunks(1))
    expect(exporter.shutdown(timeout: 0.1)).to be(false)
    agent.start

    expect(exporter.shutdown(timeout: 30)).to be(true)
    expect_outcome(sent: 3)
  end

  it "leaves to a fork what is the fork's" do
    agent.script({ status: 503, headers: { "Retry-After" => "1" } })
    exporter.export(chunks(1))
    expect(exporter.flush(timeout: 0.1)).to be(false)
    child = in_child do
      exporter.export(chunks(1))
      exporter.flush(timeout: 30) && exporter.stats
    end

    expect(child).to include(spans_exported: 1, spans_sent: 1, spans_dropped: 0)
    expect(agent.received).to eq(2 => 1)
    expect_flush
    expect(agent.received).to eq(1 => 1, 2 => 1)
    expect(exporter.stats).to include(spans_exported: 1, spans_sent: 1, retries: 1)
  end
end
