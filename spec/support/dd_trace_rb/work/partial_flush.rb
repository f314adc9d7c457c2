# frozen_string_literal: true

# A trace that is sent in parts while it goes on.

Child.configure do |c|
  c.tracing.partial_flush.enabled = true
  c.tracing.partial_flush.min_spans_threshold = 5
end

Child.trace("batch", resource: "nightly") do |_, operation|
  operation.set_tag("of.the.trace", "1")
  12.times { |index| Child.trace("row", resource: "row #{index}") { Child.trace("column") } }
end
