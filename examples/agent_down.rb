# frozen_string_literal: true

# Exports while no agent listens, to a queue that is too small. The application never waits and memory stays bounded;
# what finds no room is counted and logged, and the rest is sent once there is an agent.
#
#   ruby -Ilib examples/agent_down.rb

require "logger"
require "socket"
require "datadog/native_export"
require "datadog/native_export/testing"

port = TCPServer.open("127.0.0.1", 0) { |server| server.addr[1] } # nobody listens there now
exporter = Datadog::NativeExport::Exporter.new(
  agent_url: "http://127.0.0.1:#{port}", max_queue_spans: 100, logger: Logger.new($stdout)
)

taken = (1..150).count do |id|
  span = Datadog::NativeExport::Span.new(name: "job", trace_id: id, span_id: id, start: Time.now, duration: 1_000)
  exporter.export(Datadog::NativeExport::TraceChunks.new.begin_chunk << span)
end
puts "queued #{taken} of 150 spans"
puts "flushed without an agent: #{exporter.flush(timeout: 0.2)}"

Datadog::NativeExport::Testing::Agent.start(port:) do |agent|
  puts "flushed with an agent: #{exporter.flush(timeout: 9)}"
  puts "arrived: #{agent.spans.size} spans, lost: #{exporter.stats[:dropped].reject { |_, spans| spans.zero? }}"
end
