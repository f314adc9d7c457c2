# frozen_string_literal: true

module Support
  # Short ways to spans and chunks whose content doesn't matter.
  module Spans
    START = 1_700_000_000_000_000_000

    def build_span(**fields)
      defaults = { name: "web.request", service: "shop", trace_id: 1, span_id: 1, start: START, duration: 1_000 }
      Datadog::NativeExport::Span.new(**defaults, **fields)
    end

    # TraceChunks of one chunk for each Integer, with that many spans.
    def build_chunks(*span_counts, **fields)
      span_counts.each_with_object(Datadog::NativeExport::TraceChunks.new) do |count, chunks|
        chunks.begin_chunk
        count.times { |i| chunks << build_span(span_id: i + 1, parent_id: i, **fields) }
      end
    end

    # What the agent gets for one span, decoded by the msgpack gem.
    def sent_raw(span, &)
      sent(span, raw: true, &)
    end

    # The same, with the values of meta_struct decoded too. Yields the exporter when all is sent.
    def sent(span, raw: false)
      Datadog::NativeExport::Testing::Agent.start do |agent|
        exporter = Datadog::NativeExport::Exporter.new(agent_url: agent.url)
        chunks = Datadog::NativeExport::TraceChunks.new.begin_chunk << span
        response = exporter.send_trace_chunks(chunks, timeout: 10)
        raise response.error unless response.ok?

        yield exporter if block_given?
        request = agent.requests.find { |sent| sent.path == "/v0.4/traces" }
        raw ? MessagePack.unpack(request.body).dig(0, 0) : agent.spans.fetch(0)
      ensure
        exporter&.shutdown(timeout: 10)
      end
    end
  end
end
