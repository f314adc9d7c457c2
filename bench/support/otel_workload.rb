# frozen_string_literal: true

if (checkout = ENV.fetch("OTEL_RUBY", nil))
  folders = %w[api sdk common registry semantic_conventions exporter/otlp-common exporter/otlp]
  $LOAD_PATH.concat(folders.map { |folder| "#{checkout}/#{folder}/lib" })
end
require "opentelemetry/exporter/otlp"

# Spans of the SDK: traces of 10 spans with 10 attributes each, one span in 10 with an event.
module OTelWorkload
  SHARED = { "http.request.method" => "GET", "http.route" => "/carts/:id", "http.response.status_code" => 200,
             "cached" => true, "share" => 0.25, "network.protocol.name" => "http" }.freeze

  class << self
    # So many of them, made anew, because Ruby keeps in a String what it found out about it.
    def spans(count)
      memory.reset
      (count / 10).times { |number| trace(number) }
      memory.finished_spans
    end

    private

    def memory = @memory ||= OpenTelemetry::SDK::Trace::Export::InMemorySpanExporter.new

    def tracer
      @tracer ||= begin
        provider = OpenTelemetry::SDK::Trace::TracerProvider.new
        provider.add_span_processor(OpenTelemetry::SDK::Trace::Export::SimpleSpanProcessor.new(memory))
        provider.tracer("bench", "1.0")
      end
    end

    def trace(number)
      tracer.in_span("GET /carts/:id", kind: :server, attributes: attributes(number)) do |root|
        root.add_event("looked up", attributes: { "items" => number })
        9.times { |child| tracer.in_span("query", kind: :client, attributes: attributes(number + child)) { nil } }
      end
    end

    def attributes(number)
      {
        **SHARED,
        "request.number" => number, "url.full" => "https://shop.example/carts/#{number}/items",
        "client.address" => "10.0.#{(number >> 8) & 255}.#{number & 255}", "user.id" => "user-#{number}"
      }
    end
  end
end
