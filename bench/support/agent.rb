# frozen_string_literal: true

require "rbconfig"
require "socket"
require_relative "../../lib/datadog/native_export/testing/server"

# An agent in a process of its own, which reads, answers and looks into what it got when it is asked.
# One that hangs takes requests and never answers.
class Agent
  INFO = '{"endpoints":["/v0.4/traces"],"span_events":true}'
  RATES = '{"rate_by_service":{"service:,env:":1.0}}'
  # Each span has this key once, and text doesn't begin with the byte that says "eight more".
  SPAN = "\xA8resource".b

  class << self
    def start(hangs: false)
      process = IO.popen([RbConfig.ruby, __FILE__, hangs ? "hang" : "answer"], "r+")
      yield new(process)
    ensure
      # It ends with its input.
      process&.close
    end

    # Status, headers and body of the usual answer.
    def answer(head) = [200, {}, head.path == "/info" ? INFO : RATES]

    # What runs in the process.
    def run(hangs)
      bodies = Queue.new
      listener = TCPServer.new("127.0.0.1", 0)
      Datadog::NativeExport::Testing::Server.new(listener) do |head, body|
        sleep if hangs
        bodies << body if head.path.end_with?("/traces")
        answer(head)
      end
      $stdout.sync = true
      puts listener.addr[1]
      while $stdin.gets
        received = Array.new(bodies.size) { bodies.pop }
        puts "#{received.sum { |body| body.scan(SPAN).size }} #{received.sum(&:bytesize)}"
      end
    end
  end

  attr_reader :url, :port

  def initialize(process)
    @process = process
    @port = Integer(process.gets)
    @url = "http://127.0.0.1:#{@port}"
  end

  # Spans and bytes since the last time.
  def received
    @process.puts
    @process.gets.split.map { |number| Integer(number) }
  end

  # Fails unless so many spans have come since the last time. Returns their bytes.
  def check(expected)
    spans, bytes = received
    raise "the agent received #{spans} spans, not #{expected}" unless spans == expected && spans.positive?

    bytes
  end
end

Agent.run(ARGV == ["hang"]) if $PROGRAM_NAME == __FILE__
