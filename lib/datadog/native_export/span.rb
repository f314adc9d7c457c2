# frozen_string_literal: true

module Datadog
  module NativeExport
    # One span, in the form in which it is sent. Filled by one owner and then moved into a
    # {TraceChunks}; from then on every call but {#consumed?} and {#inspect} raises {ConsumedError}.
    #
    # A String of any encoding is sent as UTF-8: transcoded when its encoding says so, with U+FFFD
    # for what is broken. Binary Strings are taken for UTF-8.
    class Span
      # @!method set_meta(key, value)
      #   Sets a tag, in place of one with the same key.
      #   @param key [String, Symbol]
      #   @param value [String, Symbol, nil] nil removes the tag
      #   @return [self]
      #   @raise [TypeError] for a key or value of another class, numbers included
      #   @raise [ConsumedError, FrozenError]
      #
      # @!method set_metric(key, value)
      #   Sets a metric, in place of one with the same key. It is sent as a 64-bit float.
      #   @param key [String, Symbol]
      #   @param value [Integer, Float, Rational, nil] nil removes the metric; so does NaN, which
      #     is counted as left out. Infinities are sent.
      #   @return [self]
      #   @raise [TypeError] for a key or value of another class
      #   @raise [RangeError] for an Integer that a 64-bit float can't hold
      #   @raise [ConsumedError, FrozenError]
      #
      # @!method set_meta_struct(key, value)
      #   Sets a structured value, in place of one with the same key. It is encoded to MessagePack at
      #   once: what is changed in it later isn't sent.
      #   @param key [String, Symbol]
      #   @param value [nil, Boolean, Integer, Float, String, Symbol, Array, Hash] Integers from -2**63
      #     to 2**64-1; Hashes with keys of String, Symbol or Integer; up to 64 Arrays and Hashes inside
      #     each other; 25 MiB in all. A binary String that isn't UTF-8 is sent as bytes.
      #   @return [self]
      #   @raise [TypeError] for anything else in it, with the path to it:
      #     `appsec.events[3].when: expected nil, true, ..., got Time`
      #   @raise [RangeError] for an Integer out of range, likewise
      #   @raise [ArgumentError] for what is too deep, too large or contains itself, likewise
      #   @raise [ConsumedError, FrozenError]
      #
      # @!method consumed?
      #   @return [Boolean] whether the span was handed over
      #
      # @!method name
      #   @return [String] frozen, like all that is read back
      # @!method service
      #   @return [String] empty when it was nil
      # @!method resource
      #   @return [String]
      # @!method type
      #   @return [String] empty when it was nil
      # @!method trace_id
      #   @return [Integer] all 128 bits
      # @!method span_id
      #   @return [Integer]
      # @!method parent_id
      #   @return [Integer] 0 for none
      # @!method start
      #   @return [Integer] nanoseconds since the epoch
      # @!method duration
      #   @return [Integer] nanoseconds
      # @!method error
      #   @return [Integer] 0 for none
      # @!method meta
      #   @return [Hash{String => String}]
      # @!method metrics
      #   @return [Hash{String => Float}]
      # @!method meta_struct
      #   @return [Hash{String => Object}] decoded; Symbols have become Strings
      # @!method links
      #   @return [Array<Hash>] each with the keywords of {#add_link}, attributes flattened
      # @!method events
      #   @return [Array<Hash>] each with `name`, `time_unix_nano` and `attributes`

      # @param name [String, Symbol] the operation, such as `"web.request"`
      # @param trace_id [Integer] 1 to 2**128-1. The lower 64 bits are the id on the wire, and an
      #   agent refuses 0 there.
      # @param span_id [Integer] 1 to 2**64-1
      # @param start [Time, Integer] an Integer is nanoseconds since the epoch, in 64 bits
      # @param duration [Integer] nanoseconds, in 64 bits
      # @param service [String, Symbol, nil]
      # @param resource [String, Symbol, nil] the name when nil
      # @param type [String, Symbol, nil] such as `"web"` or `"sql"`
      # @param parent_id [Integer] 0 to 2**64-1, 0 for none
      # @param error [Integer] 0 for none, in 32 bits
      # @param meta [Hash{String, Symbol => String, Symbol, nil}, nil] tags, see {#set_meta}
      # @param metrics [Hash{String, Symbol => Integer, Float, Rational, nil}, nil] see {#set_metric}
      # @param meta_struct [Hash{String, Symbol => Object}, nil] see {#set_meta_struct}
      # @param links [Array<Hash>, nil] keywords of {#add_link}
      # @param events [Array<Hash>, nil] keywords of {#add_event}
      # @raise [ArgumentError] for a missing or unknown keyword
      # @raise [TypeError] for a value of the wrong class, naming the field
      # @raise [RangeError] for a number out of its range, naming the field
      def initialize(name:, trace_id:, span_id:, start:, duration:, service: nil, resource: nil, type: nil,
                     parent_id: 0, error: 0, meta: nil, metrics: nil, meta_struct: nil, links: nil, events: nil)
        lower(name, service, resource, type, trace_id, span_id, parent_id, start, duration, error, meta, metrics)
        meta_struct&.each { |key, value| set_meta_struct(key, value) }
        links&.each { |link| add_link(**link) }
        events&.each { |event| add_event(**event) }
      end

      # Adds a link to a span of this or another trace.
      #
      # @param trace_id [Integer] 1 to 2**128-1
      # @param span_id [Integer] 1 to 2**64-1
      # @param attributes [Hash{String, Symbol => Object}, nil] sent as text (`to_s`); what is nested in
      #   Arrays and Hashes goes under `key.0` and `key.name`; nil is left out
      # @param tracestate [String, Symbol, nil] of W3C Trace Context
      # @param flags [Integer, nil] trace flags of W3C Trace Context, 0 to 2**31-1; nil when unknown
      # @return [self]
      # @raise [TypeError, RangeError, ArgumentError] naming the field
      # @raise [ConsumedError, FrozenError]
      def add_link(trace_id:, span_id:, attributes: nil, tracestate: nil, flags: nil)
        append_link(trace_id, span_id, attributes, tracestate, flags)
      end

      # Adds an event. Agents that don't take events get them as JSON in the tag `events`.
      #
      # @param name [String, Symbol]
      # @param time_unix_nano [Integer, nil] nanoseconds since the epoch, 0 to 2**64-1
      # @param time [Time, nil] in place of `time_unix_nano`
      # @param attributes [Hash{String, Symbol => Object}, nil] String, Symbol, Integer of 64 bits, finite
      #   Float, true, false, or an Array of one of these kinds. Others are left out and counted.
      # @return [self]
      # @raise [ArgumentError] without a time, or with two
      # @raise [TypeError, RangeError] naming the field
      # @raise [ConsumedError, FrozenError]
      def add_event(name:, time_unix_nano: nil, time: nil, attributes: nil)
        raise ArgumentError, "time: expected one of time: and time_unix_nano:" unless time.nil? ^ time_unix_nano.nil?
        raise TypeError, "time: expected Time, got #{time.class}" unless time.nil? || time.is_a?(Time)
        raise TypeError, "time_unix_nano: expected Integer, got Time" if time_unix_nano.is_a?(Time)

        append_event(name, time || time_unix_nano, attributes)
      end

      # @return [Hash{Symbol => Object}] what the span holds, as keywords of {#initialize}
      def to_h
        {
          name:, service:, resource:, type:, trace_id:, span_id:, parent_id:, start:, duration:, error:,
          meta:, metrics:, meta_struct:, links:, events:
        }
      end

      # Short, and without the values of tags, which may be secret.
      def inspect
        return "#<#{self.class} consumed>" if consumed?

        ids = "trace_id=#{trace_id} span_id=#{span_id} parent_id=#{parent_id}"
        "#<#{self.class} #{name[0, 60].inspect} #{ids} meta=#{meta.size} metrics=#{metrics.size}>"
      rescue Error
        "#<#{self.class} not initialized>"
      end

      private

      # A span has one owner.
      def initialize_copy(_)
        raise TypeError, "can't copy #{self.class}"
      end
    end
  end
end
