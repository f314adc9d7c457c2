# frozen_string_literal: true

module Datadog
  module NativeExport
    module DDTrace
      # The tracer's own writer, which gets the traces of a {Writer} that stands aside.
      #
      # dd-trace-rb's writer can't be used again once it was stopped. But the tracer stops a writer on
      # reconfiguration, and applications to flush it: so another is made when there are more traces.
      # @api private
      class OwnWriter
        # @return [String, nil] why the native writer stands aside, if traces aren't exported natively then
        attr_reader :reason

        # @param reason [String, nil]
        # @param options [Hash{Symbol => Object}] of the tracer's writer
        # @yieldparam responses [Array<Object>] outcomes of traces that were sent
        def initialize(reason, options, &sent)
          @reason = reason
          @options = options
          @sent = sent
          @lock = Mutex.new
          @stopped = false
        end

        def write(segment) = running.write(segment)
        def transport = writer.transport
        def stats = writer.stats

        # @param timeout [Numeric, nil] seconds to wait at most
        # @return [Boolean] false when the time ran out
        def flush(timeout)
          # It can only be made to send what it holds by stopping it, and waits by its own `shutdown_timeout`.
          stopping = Thread.new do
            stop
          rescue StandardError => e
            Log.debug(e)
          end
          !stopping.join(timeout).nil?
        end

        # @return [void]
        def stop
          return if @stopped

          @stopped = true
          @writer&.stop
        end

        private

        def writer
          @writer || @lock.synchronize { @writer ||= build }
        end

        def running
          return writer unless @stopped

          @lock.synchronize do
            @writer = build if @stopped
            @stopped = false
          end
          @writer
        end

        def build
          Datadog::Tracing::Writer.new(**@options).tap do |writer|
            writer.events.after_send.subscribe { |_, responses| @sent.call(responses) }
          end
        end
      end
    end
  end
end
