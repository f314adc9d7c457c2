# frozen_string_literal: true

# A trace that is sent in parts while it goes on.

configure do |c|
  c.tracing.partial_flush.enabled = true
  c.tracing.partial_flush.min_spans_threshold = 5
end

trace("batch", resource: "nightly") do |_, operation|
  operation.set_tag("of.the.trace", "1")
  12.times { |index| trace("row", resource: "row #{index}") { trace("column") } }
end
