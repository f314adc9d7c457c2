# frozen_string_literal: true

Datadog::NativeExport.const_get(:Tracer).require!

module Datadog
  module NativeExport
    # Takes the place of dd-trace-rb's HTTP transport, behind the tracer's own writer:
    #
    #     Datadog.configure { |c| c.tracing.writer_options = {transport: Datadog::NativeExport::Transport.new} }
    #
    # Its {Exporter} is made on first use, by what the tracer's settings say then, and anew after {#close}:
    # the tracer closes a transport on reconfiguration and goes on using it.
    class Transport
      include Datadog::Tracing::Transport::HTTP::Statistics

      # @!method stats
      #   @return [Datadog::Tracing::Transport::Statistics::Counts] outcomes so far, with `reset!`

      # Tells the tracer's log where traces go, by the paths on which it has come to look for that.
      Client = Struct.new(:url) do
        def api = self
        def instance = self
        def adapter = self
      end
      private_constant :Client

      # @param wait [Numeric] seconds {#send_traces} waits for the agent's answer. What takes longer goes on
      #   in the background.
      # @param shutdown_timeout [Numeric] seconds {#close} waits at most for what is on its way
      # @param options [Hash{Symbol => Object}] of {Exporter#initialize}. They come before the tracer's
      #   settings, which are the defaults of `agent_url`, `agent_timeout`, `tracer_version` and `logger`.
      # @raise [ArgumentError, ConfigurationError] for an option that can't be used
      # @raise [UnavailableError] when the native extension could not be loaded
      def initialize(wait: 1, shutdown_timeout: 1, **options)
        @wait = wait
        @shutdown_timeout = shutdown_timeout
        @options = { shutdown_timeout: shutdown_timeout, **options }
        @lock = Mutex.new
        # Never used: a wrong option should be refused here, and not when there are traces to send.
        Exporter.new(agent_url: "http://127.0.0.1", **@options)
      end

      # Sends traces, each as a chunk of its own, and waits for the answer. Never raises.
      #
      # @param segments [Array<Datadog::Tracing::TraceSegment>]
      # @return [Array<Response>] one for the traces that can't be sent, if there are any, and one for the
      #   others
      def send_traces(segments)
        return [] if segments.empty?

        follow_settings
        chunks, broken = lower(segments)
        responses = []
        responses << failure(broken, Error.new("#{broken} traces can't be sent")) if broken.positive?
        # What broke is counted by the exporter, too, even if nothing else is left.
        chunks.empty? ? exporter.export(chunks) : responses << exporter.send_trace_chunks(chunks, timeout: @wait)
        responses.each { |response| update_stats_from_response!(response) }
        Datadog.health_metrics.transport_chunked(responses.size)
        responses
      rescue StandardError => e
        update_stats_from_exception!(e)
        [failure(segments.size, e)]
      end

      # Queues traces to be sent in the background. Never waits.
      #
      # @param segments [Array<Datadog::Tracing::TraceSegment>]
      # @return [Integer] how many of them are lost, because they can't be sent or the queue is full
      def export(segments)
        chunks, broken = lower(segments)
        size = chunks.size
        exporter.export(chunks) ? broken : broken + size
      end

      # Sends what is queued and waits for it.
      #
      # @param timeout [Numeric, nil] seconds to wait at most, nil for as long as it takes
      # @return [Boolean] false when the time ran out
      def flush(timeout: nil)
        @exporter.nil? || @exporter.flush(timeout: timeout)
      rescue ClosedError
        true
      end

      # Sends what is on its way, and ends. Traces that come later bring it back to life.
      #
      # @param timeout [Numeric, nil] seconds to wait at most, nil for as long as it takes
      # @return [Boolean] false when the time ran out; sending goes on
      def close(timeout: shutdown_timeout)
        exporter = @exporter
        @exporter = @obstacle = nil
        exporter.nil? || exporter.shutdown(timeout: timeout)
      end

      # @return [Numeric] seconds {#close} waits at most
      attr_reader :shutdown_timeout

      # @return [Exporter] the present one
      # @raise [ConfigurationError] when the tracer's settings can't be used
      def exporter
        @exporter || @lock.synchronize { @exporter ||= build }
      end

      # @api private
      # @return [Exporter, nil]
      def running = @exporter

      # @api private
      def client
        Client.new("#{exporter.agent_url}?transport=datadog-native-export-#{VERSION}")
      end

      def inspect
        "#<#{self.class} #{@exporter&.agent_url || "idle"}>"
      end

      private

      # Versions of the tracer before 2.40 don't close a transport on reconfiguration.
      def follow_settings
        close(timeout: 0) if (@exporter || @obstacle) && Tracer.options != @settings
      end

      # Tells of settings that can't be used once, not for each trace.
      def build
        raise @obstacle if @obstacle

        @settings = Tracer.options
        Exporter.new(**@settings, **@options)
      rescue ConfigurationError => e
        Tracer.warn("datadog-native-export: traces are lost: #{e.message}") unless @obstacle
        raise @obstacle = e
      end

      # The traces in the form in which they are sent, and the number of those that can't be.
      def lower(segments)
        chunks = TraceChunks.new(capacity: segments.size)
        [chunks, segments.count { |segment| !push(chunks, segment) }]
      end

      # A trace that can't even be formatted costs nothing but itself.
      def push(chunks, segment)
        Datadog::Tracing::Transport::TraceFormatter.format!(segment)
        chunks.push_trace(segment.spans)
      rescue StandardError => e
        Tracer.debug(e)
        false
      end

      def failure(trace_count, error)
        Response.new(trace_count: trace_count, loss: :internal, error: error)
      end
    end
  end
end
