# frozen_string_literal: true

require_relative "request"

module Datadog
  module NativeExport
    module Testing
      # The subset of HTTP/1.1 that clients of an agent use.
      # @api private
      module HTTP
        class Malformed < StandardError; end

        REASONS = { 200 => "OK", 400 => "Bad Request", 404 => "Not Found" }.freeze
        MAX_LINE_BYTES = 64 * 1024

        class << self
          # @param socket [TCPSocket]
          # @return [Request, nil] nil if the client closed the connection instead of sending another request
          # @raise [Malformed]
          # @raise [EOFError] if the connection ended in the middle of a request
          def read(socket)
            first = socket.gets("\r\n", MAX_LINE_BYTES) or return
            method, path = first.match(%r{\A([A-Z]+) (\S+) HTTP/1\.[01]\r\n\z})&.captures
            raise Malformed, "request line #{first.inspect[0, 80]}" unless method

            headers = read_headers(socket)
            # Some clients withhold a large body until they are asked for it.
            socket.write("HTTP/1.1 100 Continue\r\n\r\n") if headers["expect"]&.casecmp?("100-continue")
            Request.new(method:, path:, headers:, body: read_body(socket, headers))
          end

          # @param headers [Hash{String => String}] headers in addition to Content-Length
          def write(socket, status, headers, body)
            lines = ["HTTP/1.1 #{status} #{REASONS[status]}", "Content-Length: #{body.bytesize}"]
            headers.each { |name, value| lines << "#{name}: #{value}" }
            # One write, so that a small answer travels in one packet.
            socket.write("#{lines.join("\r\n")}\r\n\r\n".b << body.b)
          end

          private

          def read_headers(socket)
            headers = {}
            until (line = read_line(socket)).empty?
              name, value = line.split(":", 2)
              raise Malformed, "header #{line.inspect[0, 80]}" unless value

              headers.merge!(name.downcase => value.strip) { |_name, *values| values.join(", ") }
            end
            headers
          end

          def read_body(socket, headers)
            return read_chunks(socket) if headers["transfer-encoding"]&.casecmp?("chunked")

            read_exactly(socket, count(headers.fetch("content-length", "0"), 10))
          end

          def read_chunks(socket)
            body = "".b
            while (size = count(read_line(socket)[/\A[^;]*/], 16)).positive?
              body << read_exactly(socket, size)
              read_line(socket).empty? or raise Malformed, "a chunk is longer than its declared size"
            end
            read_headers(socket) # trailers
            body
          end

          def count(digits, base)
            number = Integer(digits, base, exception: false)
            number&.>=(0) ? number : raise(Malformed, "length #{digits.inspect[0, 80]}")
          end

          def read_line(socket)
            line = socket.gets("\r\n", MAX_LINE_BYTES) or raise EOFError
            line.end_with?("\r\n") or raise Malformed, "line #{line.inspect[0, 80]}"
            line.chomp("\r\n")
          end

          def read_exactly(socket, size)
            bytes = socket.read(size)
            bytes && bytes.bytesize == size ? bytes : raise(EOFError)
          end
        end
      end
      private_constant :HTTP
    end
  end
end
