# frozen_string_literal: true

require_relative "answers"
require_relative "request"
require_relative "server"

module Datadog
  module NativeExport
    module Testing
      # A Datadog agent for tests: listens on a loopback port and keeps the traces (v0.4) that it gets.
      #
      # It runs on threads of the process that started it. A forked child can send to its {#url}; what the
      # child sends is seen in the process that started the agent.
      class Agent
        # Starts an agent; with a block, stops it afterwards.
        #
        # @param port [Integer] port on 127.0.0.1; 0 takes any that is free
        # @param info [Hash] merged into the answer to `GET /info`
        # @param rate_by_service [Hash{String => Float}] sampling rates, 0.0..1.0, in every answer to traces
        # @yieldparam agent [Agent]
        # @return [Agent, Object] the running agent; with a block, the block's value
        # @raise [Errno::EADDRINUSE] if the port is taken
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

        # Stops listening, finishes answers that are under way (1 s at most) and closes all connections.
        # What arrived can still be read. Idempotent.
        #
        # @return [void]
        def stop
          @server.stop
          nil
        end

        # @return [Array<Request>] everything that was asked so far, `GET /info` and refused traces included
        def requests
          @lock.synchronize { @requests.dup.freeze }
        end

        # @return [Array<Array<Hash{String => Object}>>] the traces that were answered with a 2xx status, in
        #   order of arrival; spans have string keys, and their `meta_struct` values are decoded
        def traces
          @lock.synchronize { accepted_traces }
        end

        # @return [Array<Hash{String => Object}>] the spans of {#traces}
        def spans
          traces.flatten(1)
        end

        # Forgets what arrived so far.
        #
        # @return [self]
        def clear
          @lock.synchronize { [@requests, @accepted].each(&:clear) }
          self
        end

        # Waits until spans have arrived.
        #
        # @param spans [Integer] at least so many, counted since the start or the last {#clear}
        # @param timeout [Numeric] seconds
        # @return [Array<Hash{String => Object}>] all spans that arrived
        # @raise [Testing::Timeout] if fewer arrived in time; says how many
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

        # Changes the answer to requests with traces, from now on; without arguments, back to the usual one.
        #
        # @example Fail twice, then recover
        #   failures = [503, 503]
        #   agent.respond_with { failures.shift }
        # @overload respond_with(status, headers = {}, body = "{}")
        # @overload respond_with
        #   @yieldparam request [Request]
        #   @yieldreturn [Integer, (Integer, Hash, String), nil] status, headers and body; nil for the usual
        #     answer. Called on the connection's thread; an error that it raises is answered with a 500.
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

        # Kept before it is answered: a client that has its answer finds its traces here.
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
