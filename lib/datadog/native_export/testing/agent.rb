# frozen_string_literal: true

require_relative "answers"
require_relative "request"
require_relative "server"

module Datadog
  module NativeExport
    module Testing
      # A Datadog agent for tests. Listens on a loopback port and keeps the traces (v0.4) that it receives.
      #
      # It runs on threads of the process that started it. A forked child can send to its {#url}; the traces are
      # visible in the process that started the agent.
      class Agent
        # Starts an agent. If a block is given, yields the agent and stops it afterwards.
        #
        # @param port [Integer] port on 127.0.0.1; 0 for any free port
        # @param info [Hash] merged into the answer to `GET /info`. Statistics are taken if its `endpoints` have
        #   `/v0.6/stats`; {#requests} shows them.
        # @param rate_by_service [Hash{String => Float}] sampling rates from 0.0 to 1.0, sent with every answer
        # @yieldparam agent [Agent]
        # @return [Agent, Object] the running agent, or the value of the block
        # @raise [Errno::EADDRINUSE] if the port is in use
        def self.start(port: 0, info: {}, rate_by_service: { "service:,env:" => 1.0 })
          agent = new(port, Answers.new(info, rate_by_service))
          return agent unless block_given?

          begin
            yield agent
          ensure
            agent.stop
          end
        end
        private_class_method :new

        def initialize(port, answers)
          @answers = answers
          @lock = Mutex.new
          @arrival = ConditionVariable.new
          @requests = []
          @accepted = []
          listener = TCPServer.new("127.0.0.1", port)
          @port = listener.addr[1]
          @server = Server.new(listener) { |head, body| answer(Request.new(head, body)) }
        end

        # @return [String] for example `http://127.0.0.1:43127`
        def url
          "http://127.0.0.1:#{@port}"
        end

        # Stops listening, finishes pending answers for up to 1 s and closes all connections. Traces that have
        # arrived can still be read. May be called again.
        #
        # @return [void]
        def stop
          @server.stop
          nil
        end

        # @return [Array<Request>] all requests so far, including `GET /info` and refused traces
        def requests
          @lock.synchronize { @requests.dup.freeze }
        end

        # @return [Array<Array<Hash{String => Object}>>] the traces that were answered with a 2xx status, in order
        #   of arrival. Spans have String keys, and their `meta_struct` values are decoded.
        def traces
          @lock.synchronize { accepted_traces }
        end

        # @return [Array<Hash{String => Object}>] the spans of {#traces}
        def spans
          traces.flatten(1)
        end

        # Forgets all requests and traces so far.
        #
        # @return [self]
        def clear
          @lock.synchronize { [@requests, @accepted].each(&:clear) }
          self
        end

        # Waits until a number of spans has arrived.
        #
        # @param spans [Integer] minimum number of spans since the start or the last {#clear}
        # @param timeout [Numeric] seconds to wait at most
        # @return [Array<Hash{String => Object}>] all spans that have arrived
        # @raise [Testing::Timeout] if fewer spans arrived in time; the message says how many
        def wait_for(spans:, timeout: 5)
          deadline = now + timeout
          @lock.synchronize do
            until (arrived = accepted_traces.flatten(1)).size >= spans
              remaining = deadline - now
              raise Timeout, shortfall(spans, arrived.size, timeout) unless remaining.positive?

              @arrival.wait(@lock, remaining)
            end
            arrived
          end
        end

        # Sets the answer to all further requests that carry traces. Without arguments, restores the usual answer.
        #
        # @example Fail twice, then recover
        #   failures = [503, 503]
        #   agent.respond_with { failures.shift }
        # @overload respond_with(status, headers = {}, body = "{}")
        # @overload respond_with
        #   @yieldparam request [Request]
        #   @yieldreturn [Integer, (Integer, Hash, String), nil] status, headers and body; nil for the usual
        #     answer. The block is called on the connection's thread; if it raises, the answer is a 500.
        # @return [self]
        def respond_with(*response, &block)
          @answers.script = block || ->(_request) { response }
          self
        end

        private

        def answer(request)
          @lock.synchronize { @requests << request }
          response = @answers.to(request)
          accept(request) if response.first.between?(200, 299)
          response
        end

        # Keeps the request before it is answered, so that a client that has its answer finds its traces here.
        def accept(request)
          @lock.synchronize do
            @accepted << request
            @arrival.broadcast
          end
        end

        def accepted_traces
          @accepted.flat_map(&:traces)
        end

        def shortfall(expected, arrived, timeout)
          refused = @requests.filter_map(&:error).uniq
          message = "expected #{expected} spans within #{timeout} s, but #{arrived} arrived " \
                    "(requests of any kind: #{@requests.size})"
          refused.empty? ? message : "#{message}; refused: #{refused.join(", ")}"
        end

        def now
          Process.clock_gettime(Process::CLOCK_MONOTONIC)
        end
      end
    end
  end
end
