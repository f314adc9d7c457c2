# frozen_string_literal: true

# OpenTelemetry's SDK, whose spans are exported natively: to the agent that the environment names (DD_TRACE_AGENT_URL),
# or to an OTLP endpoint (OTEL_EXPORTER_OTLP_ENDPOINT). Needs the gem opentelemetry-sdk.
#
#   ruby -Ilib examples/open_telemetry.rb

require "datadog/native_export"
require "opentelemetry/sdk"

EXPORTER = Datadog::NativeExport::OpenTelemetryExporter.new

OpenTelemetry::SDK.configure do |c|
  c.service_name = "examples"
  c.add_span_processor(OpenTelemetry::SDK::Trace::Export::BatchSpanProcessor.new(EXPORTER))
end

tracer = OpenTelemetry.tracer_provider.tracer("examples", "1.0")

tracer.in_span("GET /orders", kind: :server, attributes: { "http.request.method" => "GET" }) do
  tracer.in_span("SELECT", kind: :client, attributes: { "db.system" => "postgresql", "db.rows" => 7 }) { nil }
end

OpenTelemetry.tracer_provider.shutdown(timeout: 5)
puts EXPORTER.exporter.stats.slice(:spans_sent, :spans_dropped, :last_error)
