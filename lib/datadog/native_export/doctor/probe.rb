# frozen_string_literal: true

require "json"
require "net/http"
require "socket"

module Datadog
  module NativeExport
    class Doctor
      # Makes one request, within a limit, without the extension.
      class Probe
        # Bytes of an answer that are read.
        LONGEST_ANSWER = 1024 * 1024
        private_constant :LONGEST_ANSWER

        # `info` is what the body holds if it is what agents answer.
        Answer = Struct.new(:status, :info)

        # Net::HTTP over a Unix socket.
        class UnixHTTP < Net::HTTP
          attr_writer :path

          private

          def connect
            @socket = Net::BufferedIO.new(UNIXSocket.new(@path), read_timeout: @read_timeout)
          end
        end
        private_constant :UnixHTTP

        # @return [String] the URL as it may be shown
        attr_reader :address

        # @param limit [Numeric] seconds
        def initialize(url, address, limit, headers)
          @url = url
          @address = address
          @limit = limit
          @headers = headers
        end

        # @return [void]
        # @raise [SystemCallError, SocketError, OpenSSL::SSL::SSLError, Timeout::Error]
        def connect
          within_limit { http.start { nil } }
        end

        # @return [Answer]
        # @raise [SystemCallError, SocketError, OpenSSL::SSL::SSLError, Timeout::Error, IOError,
        #   Net::ProtocolError, Net::HTTPBadResponse]
        def get(path)
          prefix = @url.start_with?("unix://") ? "" : URI(@url).path.chomp("/")
          within_limit do
            http.start do |http|
              answer = nil
              http.request_get(prefix + path, @headers) { |response| answer = read(response) }
              answer
            end
          end
        end

        # Headers may be secret.
        def inspect = "#<#{self.class} #{address}>"

        private

        def http
          http = @url.start_with?("unix://") ? over_unix(@url.delete_prefix("unix://")) : over_tcp(URI(@url))
          http.open_timeout = http.read_timeout = @limit
          http.max_retries = 0
          http
        end

        def over_unix(path) = UnixHTTP.new("localhost").tap { |http| http.path = path }

        # Exporters use no proxy.
        def over_tcp(uri)
          http = Net::HTTP.new(uri.hostname, uri.port, nil)
          http.use_ssl = uri.scheme == "https"
          http
        end

        # Name look-ups know no timeout, and each byte that is read starts the one of Net::HTTP again.
        def within_limit(&block)
          thread = Thread.new(&block)
          thread.report_on_exception = false
          raise Timeout::Error unless thread.join(@limit + 1)

          thread.value
        ensure
          thread&.kill
        end

        def read(answer)
          body = +""
          answer.read_body do |part|
            body << part
            raise Net::HTTPBadResponse, "the body has no end" if body.bytesize > LONGEST_ANSWER
          end
          Answer.new(answer.code.to_i, (info(body) if answer.code == "200"))
        end

        def info(body)
          info = JSON.parse(body.force_encoding(Encoding::UTF_8).scrub)
          info if info.is_a?(Hash) && info["endpoints"].is_a?(Array)
        rescue JSON::ParserError
          nil
        end
      end
    end
  end
end
