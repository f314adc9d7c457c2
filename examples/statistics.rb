# frozen_string_literal: true

# Computes statistics of all spans, so that unsampled traces need not be sent: an agent that runs here gets one trace of
# ten, and counts of all.
#
#   ruby -Ilib examples/statistics.rb

require "datadog/native_export"
require "datadog/native_export/testing"

takes_statistics = { client_drop_p0s: true, endpoints: ["/v0.4/traces", "/v0.6/stats"] }

Datadog::NativeExport::Testing::Agent.start(info: takes_statistics) do |agent|
  exporter = Datadog::NativeExport::Exporter.new(agent_url: agent.url, stats: true, service: "examples", env: "test")

  chunks = Datadog::NativeExport::TraceChunks.new
  10.times do |i|
    chunks.begin_chunk << Datadog::NativeExport::Span.new(
      name: "web.request", service: "examples", resource: "GET /", trace_id: i + 1, span_id: i + 1,
      start: Time.now, duration: 1_000_000, metrics: { "_sampling_priority_v1" => i.zero? ? 1 : 0 }
    )
  end
  exporter.export(chunks)
  exporter.flush(timeout: 5) # sends what is queued, and statistics of it

  puts "spans that arrived: #{agent.spans.size}"
  statistics = agent.requests.select { |request| request.path == "/v0.6/stats" }
  buckets = statistics.flat_map { |request| MessagePack.unpack(request.body)["Stats"] }
  puts "spans counted: #{buckets.flat_map { |bucket| bucket["Stats"] }.sum { |group| group["Hits"] }}"
  puts exporter.stats.slice(:spans_sent, :spans_sampled_out, :stats_payloads_sent)
end
