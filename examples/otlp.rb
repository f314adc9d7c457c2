# frozen_string_literal: true

# Exports a sampled and an unsampled trace to the OTLP collector that OTEL_EXPORTER_OTLP_ENDPOINT names, or else to
# http://localhost:4318.
#
#   ruby -Ilib examples/otlp.rb

require "datadog/native_export"

exporter = Datadog::NativeExport::Exporter.new(
  **Datadog::NativeExport::Environment.otlp_options, # or otlp_endpoint: "http://collector:4318"
  service: "examples", env: "test", version: "1.0"   # the resource
)

chunks = Datadog::NativeExport::TraceChunks.new
{ "sampled" => 1, "unsampled" => 0 }.each do |name, priority|
  chunks.begin_chunk << Datadog::NativeExport::Span.new(
    name: name, resource: "GET /#{name}", trace_id: rand(1...2**128), span_id: rand(1...2**64),
    start: Time.now, duration: 1_000_000, metrics: { "_sampling_priority_v1" => priority }
  )
end

response = exporter.send_trace_chunks(chunks, timeout: 5)
puts response.ok? ? "accepted by #{exporter.otlp_endpoint}" : response.error.message
puts exporter.stats.slice(:spans_sent, :spans_sampled_out, :spans_dropped)
