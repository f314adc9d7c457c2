# frozen_string_literal: true

# The tracer's processing pipeline.

Child.configure

Datadog::Tracing.before_flush(
  Datadog::Tracing::Pipeline::SpanFilter.new { |span| span.resource == "secret" },
  Datadog::Tracing::Pipeline::SpanProcessor.new { |span| span.set_tag("processed", "yes") }
)
Datadog::Tracing.before_flush { |segment| segment unless segment.spans.any? { |span| span.name == "dropped" } }

Child.trace("open") { Child.trace("inner", resource: "secret") { Child.trace("innermost") } }
Child.trace("dropped")
Child.trace("all", resource: "secret") { Child.trace("gone") }
