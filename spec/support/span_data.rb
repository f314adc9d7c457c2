# frozen_string_literal: true

module Support
  # Objects of the same shape as those of OpenTelemetry's SDK that a `SpanData` holds, where the SDK isn't at hand.
  module SpanData
    Data = Struct.new(
      :name, :kind, :status, :parent_span_id, :total_recorded_attributes, :total_recorded_events,
      :total_recorded_links, :start_timestamp, :end_timestamp, :attributes, :links, :events, :resource,
      :instrumentation_scope, :span_id, :trace_id, :trace_flags, :tracestate, :parent_span_is_remote
    )
    Event = Struct.new(:name, :attributes, :timestamp)
    Scope = Struct.new(:name, :version, :attributes)

    # Plain objects whose instance variables are read.
    class Plain
      def initialize(**variables)
        variables.each { |name, value| instance_variable_set("@#{name}", value) }
      end
    end
    Status = Class.new(Plain)
    Resource = Class.new(Plain)
    Link = Class.new(Plain)
    SpanContext = Class.new(Plain)
    TraceFlags = Class.new(Plain)
    Tracestate = Class.new(Plain)

    STATUS = { ok: 0, unset: 1, error: 2 }.freeze
    SAMPLED = TraceFlags.new(flags: 1)
    RESOURCE = Resource.new(attributes: { "service.name" => "shop" }.freeze)
    SCOPE = Scope.new("instrumentation", "1.2")
    START = 1_700_000_000_000_000_000

    class << self
      # A span of 1 ms, with each field that is given in place of its own.
      def build(span_id: id(1), trace_id: id(1, 16), attributes: nil, links: nil, events: nil, **fields)
        defaults = {
          name: "work", kind: :internal, status: status(:unset), parent_span_id: id(0),
          start_timestamp: START, end_timestamp: START + 1_000_000, resource: RESOURCE, instrumentation_scope: SCOPE,
          trace_flags: SAMPLED, tracestate: tracestate({}), parent_span_is_remote: false
        }
        counts = { attributes:, links:, events: }.to_h { |name, list| [:"total_recorded_#{name}", list.to_a.size] }
        fields = { **defaults, **counts, span_id:, trace_id:, attributes:, links:, events:, **fields }
        Data.new(*fields.values_at(*Data.members))
      end

      # Fields of spans, by what it is in them of which few objects stand for more than a request holds. One value is
      # too much.
      def huge
        text = ("x" * 6_000_000).freeze
        arrays = { "a" => [text] * 2, "b" => [text] * 3 }
        { "Strings" => { attributes: %w[a b c d e].to_h { |key| [key, text] } },
          "Arrays" => { attributes: arrays },
          "Arrays of an event" => { events: [event("e", arrays)] },
          "Arrays of a link and a span" => { links: [link(arrays.slice("a"))], attributes: arrays.slice("b") } }
      end

      # An id of so many bytes.
      def id(number, bytes = 8) = [number.to_s(16).rjust(2 * bytes, "0")].pack("H*").freeze

      def status(code, description = "") = Status.new(code: STATUS.fetch(code), description:)
      def resource(attributes) = Resource.new(attributes:)
      def tracestate(members) = Tracestate.new(hash: members)
      def event(name, attributes = nil, timestamp: START + 1) = Event.new(name, attributes, timestamp)

      def exception(type, message)
        event("exception", { "exception.type" => type, "exception.message" => message,
                             "exception.stacktrace" => "a.rb:1" })
      end

      def link(attributes = {}, trace_id: id((1 << 64) + 7, 16), span_id: id(8), tracestate: {}, remote: false)
        context = SpanContext.new(trace_id:, span_id:, trace_flags: SAMPLED, tracestate: self.tracestate(tracestate),
                                  remote:)
        Link.new(span_context: context, attributes:)
      end
    end
  end
end
