# frozen_string_literal: true

# What Instructions counts: a way to lower, or `send`, and how often 1,000 spans go that way.

require_relative "measuring"
require "datadog/native_export"

way, times = ARGV
times = Integer(times)
traces = Workload.traces
keywords = traces.map { |spans| spans.map(&:to_keywords) } if way == "span_new"
GC.start
GC.disable

lower = {
  "push_trace" => -> { Measuring.lower(traces) },
  "span_new" => lambda do
    keywords.each_with_object(Datadog::NativeExport::TraceChunks.new) do |spans, chunks|
      spans.each_with_object(chunks.begin_chunk) { |span, chunk| chunk << Datadog::NativeExport::Span.new(**span) }
    end
  end
}

if way == "send"
  Agent.start do |agent|
    exporter = Datadog::NativeExport::Exporter.new(agent_url: agent.url, agent_timeout: 60)
    times.times do
      exporter.export(lower["push_trace"].call)
      exporter.flush(timeout: 120)
    end
    agent.check(times * 1_000)
  end
else
  times.times { raise "nothing was lowered" unless lower.fetch(way).call.span_count == 1_000 }
end
