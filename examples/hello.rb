# frozen_string_literal: true

# Exports one span to the agent that the environment names (DD_TRACE_AGENT_URL), or else to http://127.0.0.1:8126.
#
#   ruby -Ilib examples/hello.rb

require "datadog/native_export"

exporter = Datadog::NativeExport::Exporter.new

span = Datadog::NativeExport::Span.new(
  name: "hello", service: "examples", trace_id: rand(1...2**64), span_id: rand(1...2**64),
  start: Time.now, duration: 1_000_000 # nanoseconds
)
span.set_meta("greeting", "world").set_metric("attempt", 1)

exporter.export(Datadog::NativeExport::TraceChunks.new.begin_chunk << span) # returns at once
flushed = exporter.flush(timeout: 5)

puts flushed ? "all chunks are sent or lost" : "still sending after 5 s"
puts exporter.stats.slice(:spans_sent, :spans_dropped, :last_error)
