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

    # Stands in for a span of dd-trace-rb.
    def tracer_span(...) = TracerSpan.build(...)

    # TraceChunks of one chunk for each Array of such spans.
    def push_traces(*traces)
      traces.each_with_object(Datadog::NativeExport::TraceChunks.new) { |spans, chunks| chunks.push_trace(spans) }
    end
  end
end
