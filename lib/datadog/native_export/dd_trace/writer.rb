# frozen_string_literal: true

Datadog::NativeExport.const_get(:DDTrace)::Compatibility.require!

require_relative "events"
require_relative "feedback"
require_relative "own_writer"
require_relative "transport"
require_relative "worker"
require_relative "writer_options"

module Datadog
  module NativeExport
    # Takes the place of dd-trace-rb's writer. Threads that finish traces only queue them. A Ruby thread lowers them,
    # and a thread that isn't a Ruby thread sends them.
    #
    #     Datadog.configure { |c| c.tracing.writer = Datadog::NativeExport::Writer.new }
    #
    # The tracer stops a writer on reconfiguration and goes on using it: traces that come after {#stop} bring it back to
    # life, with the tracer's settings at that time. Where these ask for another transport, or for an address that can't
    # be used, a writer of the tracer's own gets the traces.
    class Writer
      # @return [Datadog::Tracing::Writer::Events] `after_send` is published with this writer and an Array of
      #   {Response}s, one a request, at most once a second while there are traces, on the thread that lowers them
      attr_reader :events

      # @param options [Hash{Symbol => Object}] see {Transport#initialize}
      # @raise [ArgumentError, ConfigurationError] for an option that can't be used
      # @raise [UnavailableError] when the native extension could not be loaded
      def initialize(**options)
        @transport = Transport.new(**options)
        @events = DDTrace::Events.new
        @feedback = DDTrace::Feedback.new(self, @transport)
        @worker = DDTrace::Worker.new(deliver: method(:deliver), drop: method(:drop), poll: @feedback.method(:poll))
        @accepted = @dropped = 0
        DDTrace::Enable.watch_configuration
      end

      # Queues a trace to be sent. Never waits, and never raises.
      #
      # @param segment [Datadog::Tracing::TraceSegment]
      # @return [void]
      def write(segment)
        return if segment.nil? || segment.empty?
        return @own.write(segment) if @own

        associate(segment)
        @worker.add(segment)
      rescue StandardError => e
        DDTrace::Log.debug(e)
      end

      # Sends what is queued and waits for it.
      #
      # @param timeout [Numeric, nil] seconds to wait at most, nil for as long as it takes
      # @return [Boolean] false when the time ran out; sending goes on
      def force_flush(timeout: nil)
        return @own.flush(timeout) if @own

        flush(timeout)
      end

      # Sends what is queued, for as long as `shutdown_timeout`.
      #
      # @return [Boolean] false when the time ran out; sending goes on
      def stop
        @own&.stop
        done = flush(@transport.shutdown_timeout)
        @worker.close
        @transport.close(timeout: done ? @transport.shutdown_timeout : 0)
      end

      # Does nothing: writing a trace starts what is needed.
      #
      # @return [true]
      def start = true

      # @return [Hash{Symbol => Object}] `traces_flushed`, of which the agent has answered; `traces_accepted` and
      #   `traces_dropped`, by the queue or since they can't be sent; and `transport`, outcomes as dd-trace-rb counts
      #   them. See `transport.exporter.stats`, too.
      def stats
        return @own.stats if @own

        { traces_flushed: @feedback.traces_flushed, traces_accepted: @accepted, traces_dropped: @dropped,
          transport: @transport.stats }
      end

      # @return [Transport, Object] the transport that is in use
      def transport = @own ? @own.transport : @transport

      # @return [Datadog::Core::Configuration::AgentSettings]
      def agent_settings = DDTrace::Settings.agent(Datadog.configuration)

      # @return [Logger] the tracer's
      def logger = Datadog.logger

      # @return [nil] there is no worker as dd-trace-rb's own writer has
      def worker = nil

      # @return [String] the transport in short
      def inspect = "#<#{self.class} #{@own ? "stands aside" : @transport.inspect}>"

      # Follows the settings by which the tracer has been configured.
      #
      # @api private
      # @param settings [Datadog::Core::Configuration::Settings]
      def configured(settings)
        options = DDTrace::WriterOptions.of(settings)
        reason = reason_to_yield(settings, options, &DDTrace::Log.method(:warn_once))
        yielding = reason || options.transport
        yield_to(yielding && own(reason, settings, options))
        return if yielding

        @transport.defaults = options
        return if options.ignored.empty?

        DDTrace::Log.warn_once("c.tracing.writer_options without effect: #{options.ignored.join(", ")}")
      end

      # @api private
      # @param settings [Datadog::Core::Configuration::Settings]
      # @yieldparam warning [String] what is done about a setting that can't be used
      # @return [String, nil] why a writer of the tracer's own has to take over
      def reason_to_yield(settings, options = DDTrace::WriterOptions.of(settings), &warn)
        transport = options.transport
        return @transport.problem_with(settings, options, &warn) unless transport

        "the tracer has a transport of the application's own: #{transport.class}" unless transport.is_a?(Transport)
      end

      # @api private
      # @return [(Integer, Integer)] traces accepted and dropped so far
      def counts = [@accepted, @dropped]

      # @api private
      # @return [Integer] number of traces that wait to be lowered
      def unprocessed = @worker.size

      private

      def own(reason, settings, options)
        arguments = { agent_settings: DDTrace::Settings.agent(settings), **options.given }
        DDTrace::OwnWriter.new(reason, arguments) { |responses| events.after_send.publish(self, responses) }
      end

      def yield_to(own)
        former = @own
        @own = own
        former&.stop
        reason = own&.reason
        DDTrace::Log.warn("#{DDTrace::Log::PREFIX}stands aside: #{reason}") if reason && reason != former&.reason
      end

      def flush(timeout)
        deadline = timeout && (DDTrace::Clock.now + timeout)
        done = @worker.drain(timeout)
        left = deadline && [deadline - DDTrace::Clock.now, 0].max
        @transport.flush(timeout: left) && done
      ensure
        @feedback.publish
      end

      def associate(segment)
        Datadog::Tracing::Runtime::Metrics.associate_trace(segment)
      rescue StandardError => e
        DDTrace::Log.debug(e)
      end

      # Exports what processors have left of a trace.
      def deliver(segments)
        return if segments.empty?

        dropped = @transport.export(segments)
        @accepted += segments.size - dropped
        drop(dropped)
      rescue StandardError => e
        drop(segments.size)
        DDTrace::Log.debug(e)
      end

      def drop(traces)
        @dropped += traces
      end
    end
  end
end
