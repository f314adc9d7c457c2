# frozen_string_literal: true

Datadog::NativeExport.const_get(:Tracer).require!

module Datadog
  module NativeExport
    # Takes the place of dd-trace-rb's writer, without a Ruby thread: traces are lowered on the thread that
    # finishes them, and sent by one that Ruby knows nothing of.
    #
    #     Datadog.configure { |c| c.tracing.writer = Datadog::NativeExport::Writer.new }
    #
    # The tracer stops a writer on reconfiguration and goes on using it: traces that come after {#stop}
    # bring it back to life, with what the tracer's settings are then.
    class Writer
      # @return [Datadog::Tracing::Writer::Events] `after_send` is published with this writer and an Array of
      #   {Response}s, on a thread that writes, at most once a second
      attr_reader :events

      # @return [Transport]
      attr_reader :transport

      # @param options [Hash{Symbol => Object}] see {Transport#initialize}
      # @raise [ArgumentError, ConfigurationError] for an option that can't be used
      # @raise [UnavailableError] when the native extension could not be loaded
      def initialize(**options)
        @transport = Transport.new(**options)
        @events = Datadog::Tracing::Writer::Events.new
        @feedback = Feedback.new(self)
        @accepted = @dropped = 0
        @told = [0, 0]
      end

      # Queues a trace to be sent. Never waits, and never raises.
      #
      # @param segment [Datadog::Tracing::TraceSegment]
      # @return [void]
      def write(segment)
        return if segment.nil? || segment.empty?

        associate(segment)
        deliver(segment)
        @feedback.refresh
      rescue StandardError => e
        Tracer.debug(e)
      end

      # Sends what is queued and waits for it.
      #
      # @param timeout [Numeric, nil] seconds to wait at most, nil for as long as it takes
      # @return [Boolean] false when the time ran out; sending goes on
      def force_flush(timeout: nil)
        transport.flush(timeout: timeout)
      ensure
        @feedback.tell
      end

      # Sends what is queued, for as long as `shutdown_timeout`.
      #
      # @return [Boolean] false when the time ran out; sending goes on
      def stop
        done = transport.flush(timeout: transport.shutdown_timeout)
        @feedback.tell
        transport.close(timeout: done ? transport.shutdown_timeout : 0)
      end

      # @return [Hash{Symbol => Object}] `traces_accepted` and `traces_dropped`, by the queue or since they can't
      #   be sent; and `transport`, outcomes as dd-trace-rb counts them. See `transport.exporter.stats`, too.
      def stats
        { traces_accepted: @accepted, traces_dropped: @dropped, transport: transport.stats }
      end

      # @api private
      # @return [(Integer, Integer)] traces accepted and dropped since the last call
      def take_counts
        counts = [@accepted - @told[0], @dropped - @told[1]]
        @told = [@accepted, @dropped]
        counts
      end

      private

      def associate(segment)
        Datadog::Tracing::Runtime::Metrics.associate_trace(segment)
      rescue StandardError => e
        Tracer.debug(e)
      end

      def deliver(segment)
        processed = Datadog::Tracing::Pipeline.process!([segment])
        return if processed.empty?

        dropped = transport.export(processed)
        @accepted += processed.size - dropped
        @dropped += dropped
      rescue StandardError => e
        @dropped += 1
        Tracer.debug(e)
      end
    end
  end
end
