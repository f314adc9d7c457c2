# frozen_string_literal: true

require "logger"

module Support
  # Sends chunks and shows what the agent got.
  module Delivery
    # `traces` as the agent has decoded them, `bodies` the bytes of the requests, `stats` the exporter's.
    Arrived = Struct.new(:traces, :bodies, :stats) do
      def spans = traces.flatten(1)
    end

    # Of the example that is running.
    EXPORTERS = [] # rubocop:disable Style/MutableConstant

    # Ends the exporters of an example while its agent is still there. Otherwise what they have left would be sent for
    # seconds, perhaps to the agent of a later example that has got the same port.
    def self.end_exporters
      EXPORTERS.shift(EXPORTERS.size).each do |exporter|
        exporter.shutdown(timeout: 0.05) || refuse_all_of(exporter)
      end
    end

    # Takes the place of an agent that has gone away.
    def self.refuse_all_of(exporter)
      agent = Datadog::NativeExport::Testing::Agent.start(port: URI(exporter.agent_url).port)
      agent.respond_with(400)
      exporter.shutdown(timeout: 5)
    rescue SystemCallError
      # It is still there, and what it has not answered ends with it.
    ensure
      agent&.stop
    end
    private_class_method :refuse_all_of

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
