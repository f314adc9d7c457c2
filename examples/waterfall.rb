# frozen_string_literal: true

# Exports one trace and shows it the way it arrived.
#
#   ruby examples/waterfall.rb               starts an agent of its own and reads back what that received
#   ruby examples/waterfall.rb --agent URL   sends to a running agent
#
# Exits with 1 if a span did not arrive.

$LOAD_PATH.unshift(File.expand_path("../lib", __dir__))

require "io/console"
require "json"
require "net/http"
require "optparse"
require "datadog/native_export"
require_relative "support/checkout"
require_relative "support/waterfall"

NativeExport = Datadog::NativeExport

def export(spans, agent_url)
  chunks = NativeExport::TraceChunks.new(capacity: 1)
  chunk = chunks.begin_chunk(capacity: spans.size)
  spans.each { |arguments| chunk << NativeExport::Span.new(**arguments) }

  exporter = NativeExport::Exporter.new(agent_url:)
  exporter.export(chunks) # returns at once; the rest happens in the background
  exporter.flush(timeout: 5)
  exporter.stats
ensure
  exporter&.shutdown(timeout: 1)
end

# Sends to an agent of this process.
def demonstrate(spans)
  require "datadog/native_export/testing"

  NativeExport::Testing::Agent.start do |agent|
    stats = export(spans, agent.url)
    [stats, agent.spans, "Received by the agent at #{agent.url}"]
  end
end

def send_to(agent_url, spans)
  stats = export(spans, agent_url)
  received = read_back(agent_url, spans.first[:trace_id])
  return [stats, received, "Received by the test agent at #{agent_url}"] if received

  accepted = stats[:spans_sent] == spans.size ? spans.map { |span| span.transform_keys(&:to_s) } : []
  [stats, accepted, "As sent: the agent at #{agent_url} accepted it, and can't be asked what it received"]
end

# Only Datadog's test agent shows what it received.
def read_back(agent_url, trace_id)
  return unless agent_url.start_with?("http:", "https:")

  response = Net::HTTP.get_response(URI.join(agent_url, "/test/session/traces"))
  return unless response.is_a?(Net::HTTPOK)

  JSON.parse(response.body).flatten.select { |span| span["trace_id"] == trace_id }
rescue SystemCallError, SocketError, IOError, Timeout::Error, JSON::ParserError
  nil
end

def show(spans, title)
  width = IO.console&.winsize&.last.to_i # 0 where there is no terminal, or one that doesn't say
  puts title, Waterfall.new(spans, width: width.zero? ? 80 : width,
                                   color: $stdout.tty? && ENV.fetch("NO_COLOR", "").empty?,
                                   unicode: Encoding.default_external == Encoding::UTF_8), ""
end

def report(stats)
  spans = %i[spans_exported spans_sent spans_dropped spans_queued]
  traffic = %i[payloads_sent bytes_sent retries]
  [spans, traffic].each { |names| puts names.map { |name| "#{name}: #{stats[name]}" }.join(", ") }
  losses = stats[:dropped].reject { |_reason, lost| lost.zero? }
  puts "dropped: #{losses}", "last_error: #{stats[:last_error]}" if losses.any?
end

agent_url = nil
options = OptionParser.new do |parser|
  parser.on("--agent URL", "send to a running agent, such as http://127.0.0.1:8126") { |url| agent_url = url }
end
begin
  options.parse!
rescue OptionParser::ParseError => e
  abort "#{e.message}\n#{options}"
end

spans = Checkout.spans
begin
  stats, arrived, title = agent_url ? send_to(agent_url, spans) : demonstrate(spans)
rescue NativeExport::ConfigurationError => e
  abort e.message
end
show(arrived, title) unless arrived.empty?
report(stats)

missing = spans.map { |span| span[:span_id] } - arrived.map { |span| span["span_id"] }
abort "#{missing.size} of #{spans.size} spans did not arrive" if missing.any?
