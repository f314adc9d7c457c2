# frozen_string_literal: true

require "socket"
require_relative "http"

module Datadog
  module NativeExport
    module Testing
      # Serves HTTP on the loopback interface with one thread per connection.
      #
      # A forked child inherits the sockets but none of the threads. Nothing that a child does, including {#stop},
      # may affect the connections of its parent.
      # @api private
      class Server
        # Seconds that {#stop} grants to pending answers.
        GRACE = 1

        # @return [Integer]
        attr_reader :port

        # @param port [Integer] 0 for any free port
        # @yieldparam request [Request]
        # @yieldreturn [(Integer, Hash{String => String}, String)] status, headers and body of the answer
        # @raise [Errno::EADDRINUSE]
        def initialize(port, &answer)
          @answer = answer
          @listener = TCPServer.new("127.0.0.1", port)
          @port = @listener.addr[1]
          @connections = {}
          @lock = Mutex.new
          @pid = Process.pid
          @acceptor = Thread.new { accept }
        end

        # Refuses new connections, finishes pending answers and closes all connections. May be called again.
        def stop
          return @listener.close unless @pid == Process.pid

          stop_listening
          @acceptor.join
          connections = @lock.synchronize { @connections.dup }
          # The answer's own block may stop the server.
          connections.delete(Thread.current)
          # Ends the wait for another request without cutting off a pending answer.
          connections.each_value { |socket| shut(socket, :RD) }
          deadline = now + GRACE
          connections.each_key { |thread| thread.join([deadline - now, 0].max) || thread.kill.join }
        end

        private

        def accept
          loop { serve(@listener.accept) }
        rescue IOError, Errno::EBADF, Errno::EINVAL
          # Stopped.
        end

        def serve(socket)
          @lock.synchronize do
            thread = Thread.new do
              converse(socket)
            ensure
              close(socket)
              @lock.synchronize { @connections.delete(Thread.current) }
            end
            @connections[thread] = socket
          end
        end

        def converse(socket)
          while (request = HTTP.read(socket))
            HTTP.write(socket, *@answer.call(request))
            break if request.headers["connection"]&.casecmp?("close")
          end
        rescue HTTP::Malformed => e
          HTTP.write(socket, 400, { "Connection" => "close" }, e.message)
        rescue IOError, SystemCallError
          # The client went away.
        end

        # A shutdown before the close ends a connection, or listening, even if a forked child holds a copy of the
        # descriptor.
        def stop_listening
          shut(@listener, :RDWR)
          @listener.close
        end

        def close(socket)
          shut(socket, :RDWR)
          socket.close
        end

        def shut(socket, direction)
          socket.shutdown(direction)
        rescue IOError, SystemCallError
          # Already closed.
        end

        def now
          Process.clock_gettime(Process::CLOCK_MONOTONIC)
        end
      end
      private_constant :Server
    end
  end
end
