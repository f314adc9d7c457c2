# frozen_string_literal: true

require "logger"

module Support
  # Sends chunks and shows what the agent got.
  module Delivery
    # `traces` as the agent has decoded them, `bodies` the bytes of the requests, `stats` the exporter's.
    Arrived = Struct.new(:traces, :bodies, :stats) do
      def spans = traces.flatten(1)
    end

    # Held until the process ends: what one that was forgotten loses there is told on standard error.
    EXPORTERS = [] # rubocop:disable Style/MutableConstant

    # An exporter that writes nothing to standard error.
    def build_exporter(agent_url = agent.url, **options)
      Datadog::NativeExport::Exporter.new(agent_url:, logger: Logger.new(nil), **options).tap do |exporter|
        EXPORTERS << exporter
      end
    end

    # Sends chunks with an exporter to an agent, both of their own.
    #
    # @param span_events [Boolean] whether events arrive as such, or else as JSON in a tag
    # @return [Arrived]
    def deliver(chunks, span_events: false, **options)
      Datadog::NativeExport::Testing::Agent.start do |agent|
        exporter = build_exporter(agent.url, span_events:, **options)
        response = exporter.send_trace_chunks(chunks, timeout: 30)
        raise response.error unless response.ok?

        Arrived.new(agent.traces, agent.requests.select(&:trace_request?).map(&:body), exporter.stats)
      ensure
        exporter&.shutdown(timeout: 10)
      end
    end

    # The same for one span.
    def deliver_span(span) = deliver(Datadog::NativeExport::TraceChunks.new.begin_chunk << span)

    # A span as it arrives.
    def sent(span) = deliver_span(span).spans.fetch(0)

    # The tags of a span that arrived, without those that the exporter adds.
    def tags(span) = span["meta"].to_h.except("_dd.sdk.otlp_export", "_dd.p.tid")
  end
end
