# frozen_string_literal: true

require "stringio"
require_relative "../support/testing_agent"

RSpec.describe Datadog::NativeExport::Testing::HTTP do
  trace_head = "PUT /v0.4/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/msgpack\r\n"

  def read(bytes) = described_class.read(StringIO.new(bytes))

  it "reads requests one after the other, and nil at the end" do
    socket = StringIO.new("#{trace_head}Content-Length: 2\r\n\r\nabGET /info HTTP/1.1\r\n\r\n")

    head, body = described_class.read(socket)
    expect(head).to have_attributes(verb: "PUT", path: "/v0.4/traces", headers: include("host" => "x"))
    expect(body).to eq("ab")
    expect(described_class.read(socket)[0]).to have_attributes(verb: "GET", path: "/info", headers: {})
    expect(described_class.read(socket)).to be_nil
  end

  it "reads a body in chunks, with extensions and trailers" do
    chunks = "3;x=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nX: 1\r\n\r\n"

    expect(read("#{trace_head}Transfer-Encoding: chunked\r\n\r\n#{chunks}")[1]).to eq("abc0123456789")
  end

  it "joins headers of the same name" do
    expect(read("GET /info HTTP/1.1\r\nX-A: 1\r\nx-a:2\r\n\r\n")[0].headers).to eq("x-a" => "1, 2")
  end

  {
    "a request line that is none" => "hello\r\n\r\n",
    "a request line without a version" => "GET /info\r\n",
    "a header without a colon" => "GET /info HTTP/1.1\r\nnonsense\r\n\r\n",
    "a length that is no number" => "PUT / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
    "a negative length" => "PUT / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "a chunk longer than it says" => "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n"
  }.each do |what, bytes|
    it "refuses #{what}" do
      expect { read(bytes) }.to raise_error(described_class::Malformed)
    end
  end

  it "raises EOFError for a request that breaks off" do
    expect { read("#{trace_head}Content-Length: 9\r\n\r\nabc") }.to raise_error(EOFError)
    expect { read(trace_head) }.to raise_error(EOFError)
  end

  describe "as the agent speaks it" do
    include_context "with requests to a testing agent"

    it "answers several requests on one connection, until it is asked to close" do
      one = "GET /info HTTP/1.1\r\n\r\n"
      expect(raw(one * 3).scan("HTTP/1.1 200 OK").size).to eq(3)
      expect(raw("GET /info HTTP/1.1\r\nConnection: Close\r\n\r\n" * 2).scan("HTTP/1.1 200").size).to eq(1)
    end

    it "asks for a body that the client holds back" do
      socket = TCPSocket.new("127.0.0.1", URI(agent.url).port)
      socket.write("#{trace_head}Content-Length: 1\r\nExpect: 100-continue\r\n\r\n")

      expect(socket.gets("\r\n\r\n")).to eq("HTTP/1.1 100 Continue\r\n\r\n")
      socket.write([].to_msgpack)
      expect(socket.gets("\r\n")).to eq("HTTP/1.1 200 OK\r\n")
    ensure
      socket&.close
    end

    it "answers what is no request with a 400, and closes" do
      expect(raw("hello\r\n\r\n#{"GET /info HTTP/1.1\r\n\r\n" * 2}")).to match(%r{\AHTTP/1.1 400 (?!.*HTTP/1)}m)
    end

    it "records nothing of a request that breaks off" do
      expect(raw("#{trace_head}Content-Length: 9\r\n\r\n\x91")).to be_empty
      expect(agent.requests).to be_empty
    end
  end
end
