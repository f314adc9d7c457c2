# frozen_string_literal: true

require_relative "../native_export"

module Datadog
  module NativeExport
    # Exports the spans of OpenTelemetry's SDK natively: what its span processors expect of an exporter. The SDK
    # needn't be loaded.
    #
    # @example
    #   OpenTelemetry::SDK.configure do |c|
    #     exporter = Datadog::NativeExport::OpenTelemetryExporter.new
    #     c.add_span_processor(OpenTelemetry::SDK::Trace::Export::BatchSpanProcessor.new(exporter))
    #   end
    class OpenTelemetryExporter
      # `OpenTelemetry::SDK::Trace::Export::SUCCESS`
      SUCCESS = 0
      # `OpenTelemetry::SDK::Trace::Export::FAILURE`
      FAILURE = 1
      # `OpenTelemetry::SDK::Trace::Export::TIMEOUT`
      TIMEOUT = 2

      # @return [Exporter] which sends the spans; its {Exporter#stats} count them
      attr_reader :exporter

      # @param options [Hash{Symbol => Object}] see {Exporter#initialize}
      # @raise [ConfigurationError] if an option can't be used; the message names it
      def initialize(**options)
        @exporter = Exporter.new(**options)
      end

      # Queues spans to be sent in the background. Never waits, so that a timeout has no effect.
      #
      # @param span_data [Enumerable<OpenTelemetry::SDK::Trace::SpanData>]
      # @param timeout [Numeric, nil] ignored
      # @return [Integer] `SUCCESS`, or `FAILURE` if spans weren't queued: the queue is full, or {#shutdown} was
      #   called. Spans that can't be sent at all don't make it a failure; they are counted as `invalid` in the
      #   exporter's {Exporter#stats}.
      def export(span_data, timeout: nil) # rubocop:disable Lint/UnusedMethodArgument
        chunks = TraceChunks.new
        chunks.push_span_data(span_data.to_a, otlp: !@exporter.otlp_endpoint.nil?)
        @exporter.export(chunks) ? SUCCESS : FAILURE
      end

      # Sends all queued spans at once and waits until each is sent or lost.
      #
      # @param timeout [Numeric, nil] seconds to wait at most; nil for no limit
      # @return [Integer] `SUCCESS`; `TIMEOUT` if the time ran out, while sending goes on in the background; `FAILURE`
      #   if spans were lost meanwhile, or after {#shutdown}
      def force_flush(timeout: nil)
        unless_lost { @exporter.flush(timeout: timeout) }
      rescue ClosedError
        FAILURE
      end

      # Stops accepting spans, sends those that are queued and waits until each is sent or lost.
      #
      # @param timeout [Numeric, nil] seconds to wait at most; nil for no limit
      # @return [Integer] as of {#force_flush}
      def shutdown(timeout: nil)
        unless_lost { @exporter.shutdown(timeout: timeout) }
      end

      private

      def unless_lost
        lost = @exporter.stats[:spans_dropped]
        return TIMEOUT unless yield

        @exporter.stats[:spans_dropped] == lost ? SUCCESS : FAILURE
      end
    end
  end
end
