# frozen_string_literal: true

require "rbconfig"
require "socket"
require "zlib"
require_relative "../../lib/datadog/native_export/testing/server"

# A receiver of OTLP and of an agent's format, in a process of its own, which counts spans when it is asked.
class OTelReceiver
  INFO = '{"endpoints":["/v0.4/traces"],"span_events":true}'
  # An attribute that each span has once.
  SPAN = "request.number"

  class << self
    def start
      process = IO.popen([RbConfig.ruby, __FILE__], "r+")
      yield new(process)
    ensure
      # It ends with its input.
      process&.close
    end

    # What runs in the process.
    def run
      bodies = Queue.new
      listener = TCPServer.new("127.0.0.1", 0)
      Datadog::NativeExport::Testing::Server.new(listener) do |head, body|
        bodies << [head.headers["content-encoding"], body] if head.path.end_with?("/traces")
        [200, {}, head.path == "/info" ? INFO : ""]
      end
      $stdout.sync = true
      puts listener.addr[1]
      puts count(bodies) while $stdin.gets
    end

    private

    def count(bodies)
      Array.new(bodies.size) { bodies.pop }.sum do |encoding, body|
        body = Zlib.gunzip(body) if encoding == "gzip"
        body.scan(SPAN).size
      end
    end
  end

  attr_reader :base_url

  def initialize(process)
    @process = process
    @base_url = "http://127.0.0.1:#{Integer(process.gets)}"
  end

  def url = "#{base_url}/v1/traces"

  # Fails unless so many spans have come since the last time.
  def check(expected)
    @process.puts
    spans = Integer(@process.gets)
    raise "the receiver has #{spans} spans, not #{expected}" unless spans == expected
  end
end

OTelReceiver.run if $PROGRAM_NAME == __FILE__
