# frozen_string_literal: true

module Datadog
  module NativeExport
    module Testing
      # The subset of HTTP/1.1 that clients of an agent use.
      # @api private
      module HTTP
        class Malformed < StandardError; end

        # The request line, and the headers by name in small letters.
        Head = Struct.new(:verb, :path, :headers)

        REASONS = { 200 => "OK", 400 => "Bad Request", 404 => "Not Found" }.freeze
        # Answers that have no body, nor the length of one.
        BODILESS = [204, 304].freeze
        MAX_LINE_BYTES = 64 * 1024

        class << self
          # @param socket [TCPSocket, UNIXSocket]
          # @return [(Head, String), nil] a request; nil if the client closed the connection between two requests
          # @raise [Malformed]
          # @raise [EOFError] if the connection ended in the middle of a request
          def read(socket)
            head = read_head(socket) and [head, read_body(socket, head)]
          end

          # @return [Head, nil]
          def read_head(socket)
            first = socket.gets("\r\n", MAX_LINE_BYTES) or return
            verb, path = first.match(%r{\A([A-Z]+) (\S+) HTTP/1\.[01]\r\n\z})&.captures
            raise Malformed, "request line #{first.inspect[0, 80]}" unless verb

            Head.new(verb, path, read_headers(socket))
          end

          # @param head [Head] what {.read_head} returned
          # @return [String] the body, chunked encoding undone
          def read_body(socket, head)
            # Some clients withhold a large body until they are asked for it.
            socket.write("HTTP/1.1 100 Continue\r\n\r\n") if head.headers["expect"]&.casecmp?("100-continue")
            return read_chunks(socket) if head.headers["transfer-encoding"]&.casecmp?("chunked")

            read_exactly(socket, count(head.headers.fetch("content-length", "0"), 10))
          end

          # @param headers [Hash{String => String}] headers in addition to Content-Length
          def write(socket, status, headers, body)
            lines = ["HTTP/1.1 #{status} #{REASONS[status]}"]
            lines << "Content-Length: #{body.bytesize}" unless BODILESS.include?(status)
            headers.each { |name, value| lines << "#{name}: #{value}" }
            # One write, so that a small answer travels in one packet.
            socket.write("#{lines.join("\r\n")}\r\n\r\n".b << (BODILESS.include?(status) ? "" : body.b))
          end

          # @raise [EOFError] if the connection ends before
          def read_exactly(socket, size)
            bytes = socket.read(size)
            bytes && bytes.bytesize == size ? bytes : raise(EOFError)
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
        end
      end
    end
  end
end
