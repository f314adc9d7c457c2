# frozen_string_literal: true

# Exports a trace and shows it as the agent received it. Exits with 1 if a span did not arrive.
#
#   ruby -Ilib examples/demo.rb               starts an agent for it
#   ruby -Ilib examples/demo.rb --agent URL   sends to a running agent, such as http://127.0.0.1:8126

require "json"
require "net/http"
require "datadog/native_export"
require "datadog/native_export/testing"

# Service, name and resource of each span; start and duration in milliseconds. The first one is the root.
CALLS = [
  ["shop-web", "rack.request", "GET /checkout", 0, 184.2],
  ["shop-redis", "redis.command", "GET session", 1.9, 0.8],
  ["shop-postgres", "pg.exec", "SELECT * FROM carts WHERE user_id = $1", 6.3, 29.7],
  ["shipping-api", "http.request", "POST /v1/quotes", 40.4, 52.8],
  ["shop-web", "rails.render_template", "checkout/show.html.erb", 158.0, 23.2]
].freeze

def export(agent_url, trace_id)
  began = Time.now
  chunks = Datadog::NativeExport::TraceChunks.new.begin_chunk
  CALLS.each.with_index(1) do |(service, name, resource, start, duration), span_id|
    chunks << Datadog::NativeExport::Span.new(
      service:, name:, resource:, trace_id:, span_id:, parent_id: span_id == 1 ? 0 : 1,
      start: began + (start / 1e3), duration: (duration * 1e6).round, meta: { "env" => "demo" }
    )
  end
  exporter = Datadog::NativeExport::Exporter.new(agent_url:)
  exporter.export(chunks) # returns at once; the rest happens in the background
  exporter.shutdown(timeout: 5)
  exporter.stats
end

# Datadog's test agent tells what it has received; other agents don't.
def received(agent_url, trace_id)
  spans = JSON.parse(Net::HTTP.get(URI("#{agent_url}/test/session/traces"))).flatten
  spans.select { |span| span["trace_id"] == trace_id }
rescue StandardError
  nil
end

def show(spans)
  spans.each do |span|
    start, duration = [span["start"] - spans.first["start"], span["duration"]].map { |time| time / 1e6 }
    bar = (" " * (start / 5)) + ("#" * (duration / 5).ceil)
    puts format("%<bar>-38s %<duration>6.1f ms  %<service>-14s %<resource>s",
                bar:, duration:, service: span["service"], resource: span["resource"])
  end
end

trace_id = rand(1...2**63)
case ARGV
in []
  stats, spans, agent_url = Datadog::NativeExport::Testing::Agent.start do |agent|
    [export(agent.url, trace_id), agent.spans, agent.url]
  end
in ["--agent", agent_url]
  stats = export(agent_url, trace_id)
  spans = received(agent_url, trace_id)
else
  abort "usage: bin/demo [--agent URL]"
end

if spans
  puts "Trace #{trace_id} as the agent at #{agent_url} received it:"
  show(spans)
end
puts "#{stats[:spans_sent]} of #{CALLS.size} spans were accepted in a payload of #{stats[:bytes_sent]} bytes"
abort "last error: #{stats[:last_error]}" unless stats[:spans_sent] == CALLS.size
abort "only #{spans.size} spans arrived" if spans && spans.size != CALLS.size
