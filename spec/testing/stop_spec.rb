# frozen_string_literal: true

require_relative "../support/testing_agent"

RSpec.describe Datadog::NativeExport::Testing::Agent, "#stop" do
  include_context "with requests to a testing agent"

  it "ends its threads and connections, also idle ones" do
    threads = Thread.list
    agent
    idle = Array.new(3) { TCPSocket.new("127.0.0.1", URI(agent.url).port) }
    idle.each { |socket| socket.write("GET /info HTTP/1.1\r\n\r\n") && socket.gets }
    agent.stop

    expect(Thread.list - threads).to be_empty
    expect(idle.map { |socket| socket.read.lines.last }).to all(include("endpoints"))
  ensure
    idle&.each(&:close)
  end

  it "can be called again, and what arrived can still be read" do
    put([[span]])
    agent.stop

    expect(agent.stop).to be_nil
    expect(agent.spans).to eq([span])
  end

  it "lets an answer that is under way go out" do
    started = Queue.new
    finish = Queue.new
    agent.respond_with { started.push(true) && finish.pop }
    response = Thread.new { put([[span]]) }
    started.pop
    stopping = Thread.new { agent.stop }
    Thread.pass until stopping.stop?
    finish.push(202)

    expect(response.value.code).to eq("202")
    stopping.join
  end

  it "cuts off an answer that doesn't come" do
    stub_const("Datadog::NativeExport::Testing::Server::GRACE", 0.01)
    started = Queue.new
    agent.respond_with { started.push(true) && Queue.new.pop }
    hung = Thread.new { raw("PUT /v0.4/traces HTTP/1.1\r\n\r\n") }
    started.pop
    agent.stop

    expect(hung.value).to be_empty
  end

  it "in a forked child doesn't disturb the parent" do
    connect do |http|
      http.get("/info")
      _, status = Process.wait2(fork { agent.stop || exit!(true) })

      expect(status).to be_success
      expect(http.get("/info").code).to eq("200")
      expect(put([[span]]).code).to eq("200")
    end
  end

  it "stops although a forked child holds copies of its sockets" do
    port = URI(agent.url).port
    idle = TCPSocket.new("127.0.0.1", port)
    idle.write("GET /info HTTP/1.1\r\n\r\n")
    idle.gets
    alive, release = IO.pipe
    child = fork { release.close || alive.read || exit!(true) }
    agent.stop

    expect(idle.read).to end_with("}")
    expect { TCPSocket.new("127.0.0.1", port) }.to raise_error(Errno::ECONNREFUSED)
  ensure
    [idle, alive, release].each { |io| io&.close }
    Process.wait(child) if child
  end
end
