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

  # The status has come, so that the spans have been answered for: what is sent again would arrive twice.
  {
    "is cut short" => ->(head) { { raw: "#{head}Content-Length: 100\r\n\r\n{}" } },
    "never ends" => ->(head) { { raw: "#{head}Content-Length: 100\r\n\r\n{}", hang: true } },
    "is too large" => ->(head) { { raw: "#{head}Content-Length: 2000000\r\n\r\n#{"x" * 2_000_000}" } },
    "is malformed" => ->(head) { { raw: "#{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n" } }
  }.each do |problem, step|
    [[200, { sent: 3 }], [400, { sent: 0, refused: 3 }]].each do |status, outcome|
      it "are what their status says when the body #{problem}: #{status}" do
        agent.script(step.call("HTTP/1.1 #{status} X\r\n"))
        exporter(agent_timeout: 0.3).export(chunks(2, 1))

        expect_flush
        expect_outcome(**outcome)
        expect(agent.attempts.size).to eq(1)
      end
    end
  end

  {
    "a line without a colon" => "no colon", "a name that is none" => "b@d name: x", "a folded line" => "X: x\r\n  y",
    "a space after a name" => "Server : x", "a control character in a name" => "a\x01b: x"
  }.each do |problem, line|
    it "are what their status says when the head has #{problem}" do
      agent.script({ raw: "HTTP/1.1 200 OK\r\n#{line}\r\nContent-Length: 2\r\n\r\n{}" })
      exporter.export(chunks(2, 1))

      expect_flush
      expect_outcome(sent: 3)
      expect(agent.attempts.size).to eq(1)
    end
  end

  it "may be a success without a body" do
    agent.usual = { status: 204 }
    exporter.export(chunks(2))

    expect_flush
    expect_outcome(sent: 2)
  end
end
