# frozen_string_literal: true

require "json"
require "zlib"
require "datadog/native_export/testing/server"

module Support
  # An OTLP collector on a loopback port, which keeps the requests that it gets.
  class Collector
    Request = Struct.new(:headers, :body, keyword_init: true) do
      def json = JSON.parse(body)
    end

    def self.start
      collector = new
      yield collector
    ensure
      collector&.stop
    end

    # The status of all further answers.
    attr_writer :status

    def initialize
      @requests = Queue.new
      @status = 200
      listener = TCPServer.new("127.0.0.1", 0)
      @port = listener.addr[1]
      @server = Datadog::NativeExport::Testing::Server.new(listener) { |head, body| answer(head, body) }
    end

    def url = "http://127.0.0.1:#{@port}/v1/traces"

    def stop = @server.stop

    # The request that has waited longest.
    def take = @requests.pop(true)

    # All requests that no one has taken.
    def requests = Array.new(@requests.size) { take }

    private

    def answer(head, body)
      body = Zlib.gunzip(body) if head.headers["content-encoding"] == "gzip"
      @requests << Request.new(headers: head.headers, body:)
      [@status, {}, ""]
    end
  end
end
