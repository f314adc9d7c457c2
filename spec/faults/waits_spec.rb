# frozen_string_literal: true

require_relative "../support/faults"

# How long the waits are is the Rust tests' to show, on a clock of their own.
RSpec.describe "Faults: payloads that wait to be sent again" do
  include_context "with a faulty agent"

  it "wait as long as the agent asks for, and hold up neither newer ones nor who waits for an answer" do
    agent.script({ status: 503, headers: { "Retry-After" => "1" } })
    exporter(flush_interval: 0.01).export(chunks(1))
    wait_until { agent.attempts.any? }
    exporter.export(chunks(1))
    wait_until { agent.received == { 2 => 1 } }

    expect(exporter.send_trace_chunks(chunks(1), timeout: 10)).to be_ok
    expect_flush
    expect_outcome(sent: 3)
    expect(agent.attempts.map { |attempt| attempt.span_ids[0] }).to eq([1, 2, 3, 1])
    expect(agent.attempts.last.at - agent.attempts.first.at).to be >= 1
  end

  it "are waited for by flush and by shutdown" do
    %i[flush shutdown].each.with_index(1) do |way, sent|
      agent.script({ status: 503, headers: { "Retry-After" => "1" } })
      exporter.export(chunks(1))

      expect(exporter.public_send(way, timeout: 0.1)).to be(false)
      expect(exporter.public_send(way, timeout: 30)).to be(true)
      expect_outcome(sent:)
    end
  end
end
