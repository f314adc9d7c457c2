# frozen_string_literal: true

require_relative "../support/faults"

# Whoever listens where an agent is expected can write more than there is memory.
RSpec.describe "Faults: an answer without end" do
  include_context "with a faulty agent"

  # What an answer may have, and what the kernel and the HTTP library may hold for both ends.
  limit = 16 * 1024 * 1024

  it "at /info is read no further than it may be long, and traces are sent meanwhile" do
    agent.info = { endless: true }
    exporter.export(chunks(2))

    expect_flush
    expect_outcome(sent: 2)
    wait_until { agent.endless_bytes.any? }
    expect(agent.endless_bytes).to all be < limit
  end

  it "to traces is read no further, and is what its status says" do
    agent.script({ endless: true }, { endless: true, status: 400 })
    [2, 3].each do |spans|
      exporter.export(chunks(spans))
      expect_flush
    end

    expect_outcome(sent: 2, refused: 3)
    wait_until { agent.endless_bytes.size == 2 }
    expect(agent.endless_bytes).to all be < limit
  end

  it "of which only the beginning comes, again and again, ends with the time of a request" do
    agent.usual = { endless: true, status: 100 }
    exporter(agent_timeout: 0.3, retry_deadline: 0.1).export(chunks(2))

    expect_flush
    expect_outcome(sent: 0, unreachable: 2)
    wait_until { agent.endless_bytes.any? }
    # What can be read in that time, and no more: hundreds of megabytes where nothing else has its turn.
    expect(agent.endless_bytes).to all be < 8 * limit
  end
end
