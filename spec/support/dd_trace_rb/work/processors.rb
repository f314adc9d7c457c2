# frozen_string_literal: true

# The tracer's processing pipeline.

configure

Datadog::Tracing.before_flush(
  Datadog::Tracing::Pipeline::SpanFilter.new { |span| span.resource == "secret" },
  Datadog::Tracing::Pipeline::SpanProcessor.new { |span| span.set_tag("processed", "yes") }
)
Datadog::Tracing.before_flush { |segment| segment unless segment.spans.any? { |span| span.name == "dropped" } }

trace("open") { trace("inner", resource: "secret") { trace("innermost") } }
trace("dropped")
trace("all", resource: "secret") { trace("gone") }
