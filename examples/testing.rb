# frozen_string_literal: true

# Tests an application's exports, with an agent that runs in the test: checks the spans that arrive, and that they
# arrive although the agent fails at first.
#
#   ruby -Ilib examples/testing.rb

require "logger"
require "datadog/native_export"
require "datadog/native_export/testing"

Datadog::NativeExport::Testing::Agent.start do |agent|
  failures = [503, 503]
  agent.respond_with { failures.shift } # then nil: the usual answer

  # Failures that are meant are not worth a warning.
  exporter = Datadog::NativeExport::Exporter.new(agent_url: agent.url, logger: Logger.new(File::NULL))
  span = Datadog::NativeExport::Span.new(name: "web.request", service: "shop", trace_id: 1, span_id: 2,
                                         start: Time.now, duration: 1_000, meta: { "http.method" => "GET" })
  exporter.export(Datadog::NativeExport::TraceChunks.new.begin_chunk << span)

  arrived = agent.wait_for(spans: 1).first # raises unless the span arrives in time
  raise "wrong tag: #{arrived["meta"]}" unless arrived["meta"]["http.method"] == "GET"

  posts = agent.requests.count(&:trace_request?)
  puts "#{arrived["name"]} of #{arrived["service"]} arrived with request #{posts}"
end
