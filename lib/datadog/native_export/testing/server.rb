# frozen_string_literal: true

require "socket"
require_relative "http"

module Datadog
  module NativeExport
    module Testing
      # Serves HTTP with one thread per connection.
      #
      # A forked child inherits the sockets but none of the threads. Nothing that a child does, including {#stop},
      # may affect the connections of its parent.
      # @api private
      class Server
        # Seconds that {#stop} grants to pending answers.
        GRACE = 1

        # @param listener [TCPServer, UNIXServer] closed by {#stop}
        # @yieldparam head [HTTP::Head]
        # @yieldparam body [String]
        # @yieldparam socket [TCPSocket, UNIXSocket] where the request came from
        # @yieldreturn [(Integer, Hash{String => String}, String)] status, headers and body of the answer
        def initialize(listener, &answer)
          @answer = answer
          @listener = listener
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
          while (head, body = HTTP.read(socket))
            answer = @answer.call(head, body, socket)
            HTTP.write(socket, *answer)
            break if [head.headers["connection"], answer[1]["Connection"]].any? { |value| value&.casecmp?("close") }
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
    end
  end
end
