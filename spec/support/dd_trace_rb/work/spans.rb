# frozen_string_literal: true

# Nested spans with all that a span can hold.

Child.configure { |c| c.version = "1.2.3" }

linked = nil
Child.trace("linked", resource: "elsewhere") { |span| linked = Datadog::Tracing.active_trace.to_digest && span }
digest = Datadog::Tracing::TraceDigest.new(trace_id: linked.trace_id, span_id: linked.id, trace_flags: 1,
                                           trace_state: "dd=s:1")

Child.trace("order", service: "checkout", resource: "POST /order", type: "web",
                     tags: { "k" => "v" }) do |order, operation|
  order.set_tag("number", 3)
  order.set_tag("float", 0.5)
  order.set_tag("huge", 2**60)
  order.set_tag("flag", true)
  order.set_tag("symbol", :sym)
  order.set_tag("latin1", "é".encode("ISO-8859-1"))
  order.set_tag("empty", "")
  order.set_tag("emoji", "🎉")
  order.set_metric("rate", 1.25)
  order.set_metric("whole", 7)
  operation.set_tag("trace.tag", "on the root")
  operation.keep!
  order.set_metastruct_tag("appsec", { "triggers" => [{ "rule" => { "id" => 1, "on" => true, "off" => nil } }] }) if
    order.respond_to?(:set_metastruct_tag)

  3.times do |index|
    Child.trace("item", resource: "item #{index}") do |item|
      # Versions from before there were links or events trace the rest.
      item.links << Datadog::Tracing::SpanLink.new(digest, attributes: { "why" => ["a", 1] }) if
        Datadog::Tracing.const_defined?(:SpanLink)
      if Datadog::Tracing.const_defined?(:SpanEvent)
        item.span_events << Datadog::Tracing::SpanEvent.new(
          "packed", time_unix_nano: 1_700_000_000_000_000_000 + index,
                    attributes: { "s" => "é", "i" => 1, "f" => 0.5, "t" => true, "l" => %w[a b] }
        )
      end
      Child.trace("query", type: "sql") { |query| query.set_error(ArgumentError.new("bad")) } if index == 1
    end
  end
end

begin
  Child.trace("failing") { raise "boom" }
rescue RuntimeError
  # Recorded by the tracer.
end

# Not in a block, and not finished in order.
outer = Datadog::Tracing.trace("outer")
inner = Datadog::Tracing.trace("inner")
outer.finish
inner.finish
