# frozen_string_literal: true

require "net/http"

# Clients of an agent for tests that aren't this gem.
RSpec.shared_context "with requests to a testing agent" do
  let(:agent) { Datadog::NativeExport::Testing::Agent.start }
  let(:span) { { "name" => "rack.request", "trace_id" => (2**64) - 1, "meta" => { "k" => "é" } } }

  after { agent.stop }

  def connect(to = agent)
    Net::HTTP.start("127.0.0.1", URI(to.url).port) { |http| return yield http }
  end

  def get(path, from: agent) = connect(from) { |http| http.get(path) }

  def put(traces, path: "/v0.4/traces", type: "application/msgpack", to: agent)
    body = traces.is_a?(String) ? traces : traces.to_msgpack
    connect(to) { |http| http.send_request("PUT", path, body, "Content-Type" => type) }
  end

  # What is answered to these bytes.
  def raw(bytes)
    socket = TCPSocket.new("127.0.0.1", URI(agent.url).port)
    socket.write(bytes)
    socket.close_write
    socket.read
  ensure
    socket&.close
  end
end
