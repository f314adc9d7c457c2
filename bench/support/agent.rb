# frozen_string_literal: true

require "rbconfig"
require "socket"

# An agent in a process of its own, which reads, answers and looks into what it got when it is asked.
# One that hangs takes requests and never answers.
class Agent
  INFO = '{"endpoints":["/v0.4/traces"],"span_events":true}'
  RATES = '{"rate_by_service":{"service:,env:":1.0}}'
  # Each span has this key once, and text doesn't begin with the byte that says "seven more".
  SPAN = "\xA7span_id".b

  def self.start(hangs: false)
    process = IO.popen([RbConfig.ruby, __FILE__, hangs ? "hang" : "answer"], "r+")
    yield new(process)
  ensure
    # It ends with its input.
    process&.close
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

  # What runs in the process.
  class Process
    def initialize(hangs)
      @hangs = hangs
      @bodies = Queue.new
    end

    def run
      listener = TCPServer.new("127.0.0.1", 0)
      $stdout.sync = true
      puts listener.addr[1]
      Thread.new { loop { Thread.new(listener.accept) { |socket| serve(socket) } } }
      while $stdin.gets
        bodies = Array.new(@bodies.size) { @bodies.pop }
        puts "#{bodies.sum { |body| body.scan(SPAN).size }} #{bodies.sum(&:bytesize)}"
      end
    end

    private

    def serve(socket)
      while (request = socket.gets("\r\n"))
        length = 0
        until (line = socket.gets("\r\n") || "\r\n") == "\r\n"
          length = Integer(line[/\d+/]) if line.match?(/\Acontent-length:/i)
        end
        body = socket.read(length)
        sleep if @hangs
        @bodies << body if request.match?(%r{/traces }) && length.positive?
        answer(socket, request.start_with?("GET") ? INFO : RATES)
      end
    rescue IOError, SystemCallError
      # The exporter went away.
    ensure
      socket.close
    end

    def answer(socket, body)
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: #{body.bytesize}\r\n\r\n#{body}")
    end
  end
end

Agent::Process.new(ARGV == ["hang"]).run if $PROGRAM_NAME == __FILE__
