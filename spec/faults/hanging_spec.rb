# frozen_string_literal: true

require_relative "../support/faults"

RSpec.describe "Faults: an agent that hangs" do
  include_context "with a faulty agent"

  it "holds up nobody for longer than they want to wait, and gets all of it" do
    release = Queue.new
    agent.usual = { wait: release }
    exporter(agent_timeout: 60, retry_deadline: 60).export(chunks(1))

    # The agent answers nobody before all of these have returned.
    expect(exporter.flush(timeout: 0.1)).to be(false)
    expect(exporter.send_trace_chunks(chunks(1), timeout: 0.1))
      .to have_attributes(ok?: false, error: an_instance_of(Datadog::NativeExport::TimeoutError))
    expect(Array.new(10) { exporter.export(chunks(1)) }).to all(be(true))
    expect(exporter.shutdown(timeout: 0.1)).to be(false)
    expect(exporter.stats).to include(spans_sent: 0, spans_dropped: 0)

    12.times { release << nil }
    expect(exporter.shutdown(timeout: 30)).to be(true)
    expect_outcome(sent: 12)
  end

  it "is left for another connection at the request's timeout, payload by payload" do
    agent.script({ hang: true }, { hang: true })
    exporter(agent_timeout: 0.2, max_payload_bytes: 10_000)
    export_payloads(3)

    expect_flush
    expect_outcome(sent: 3)
  end

  it "over one payload does not keep others from arriving" do
    agent.usual = ->(attempt) { attempt.span_ids.include?(1) ? { hang: true } : {} }
    exporter(agent_timeout: 0.2, max_payload_bytes: 10_000, retry_deadline: 2)
    export_payloads(8)

    expect_flush
    expect_outcome(sent: 7, unreachable: 1)
  end

  it "with /info, or breaks or refuses it, still gets traces" do
    { hang: true, reset: true, status: 500 }.each.with_index(1) do |(fault, value), requests|
      agent.info = { fault => value }
      exporter = build_exporter(agent_timeout: 0.5)
      exporter.export(chunks(1))

      expect(exporter.flush(timeout: 30)).to be(true)
      expect(exporter.stats).to include(spans_sent: 1, retries: 0), "with #{fault}: #{exporter.stats}"
      expect(agent.received.size).to eq(requests)
    end
  end

  it "reads slowly, but reads, gets all of it at the first attempt" do
    agent.usual = { slow: 50_000 }
    exporter.export(chunks(1, 1, meta: { "k" => "x" * 500_000 }))

    expect_flush
    expect_outcome(sent: 2)
    expect(exporter.stats).to include(retries: 0)
  end
end
