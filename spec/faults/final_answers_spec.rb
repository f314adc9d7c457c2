# frozen_string_literal: true

require_relative "../support/faults"

RSpec.describe "Faults: final answers" do
  include_context "with a faulty agent"

  # 307 would have other clients send the same elsewhere.
  [307, 400].each do |status|
    it "are not asked for again: #{status}" do
      agent.script({ status: status, headers: { "Location" => "#{agent.url}/v0.4/traces" }, body: "so it is" })
      exporter.export(chunks(2, 1))

      expect_flush
      expect_outcome(sent: 0, refused: 3)
      expect(agent.attempts.size).to eq(1)
      expect(exporter.stats).to include(retries: 0, last_error: match(/answered #{status}/))
    end
  end

  it "may be a success without a body" do
    agent.usual = { status: 204 }
    exporter.export(chunks(2))

    expect_flush
    expect_outcome(sent: 2)
  end
end
