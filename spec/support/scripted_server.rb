# frozen_string_literal: true

require "datadog/native_export/testing/server"
require "json"

module Support
  # Answers requests as a block says, and keeps them.
  class ScriptedServer
    Request = Struct.new(:path, :headers, :body)

    # @yieldparam request [Request]
    # @yieldreturn [(Integer, Hash, String), nil] the answer; nil for 200
    def self.start(answer)
      server = new(&answer)
      yield server
    ensure
      server&.stop
    end

    attr_reader :url

    def initialize(&answer)
      listener = TCPServer.new("127.0.0.1", 0)
      @url = "http://127.0.0.1:#{listener.addr[1]}"
      @requests = Queue.new
      @server = Datadog::NativeExport::Testing::Server.new(listener) do |head, body|
        request = Request.new(head.path, head.headers, body)
        @requests << request
        answer&.call(request) || [200, {}, "{}"]
      end
    end

    def stop = @server.stop

    # All requests so far, or those to a path.
    def requests(path = nil)
      all = Array.new(@requests.size) { @requests.pop }.each { |request| @requests << request }
      path ? all.select { |request| request.path == path } : all
    end

    # The spans of all OTLP requests in JSON.
    def otlp_spans
      requests.flat_map do |request|
        JSON.parse(request.body)["resourceSpans"].flat_map { |resource| resource["scopeSpans"] }
            .flat_map { |scope| scope["spans"] }
      end
    end
  end
end
