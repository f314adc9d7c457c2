# frozen_string_literal: true

module Datadog
  module NativeExport
    # One span, held as native data, ready to be encoded. A span has one owner: it is filled in and then moved
    # into a {TraceChunks}. After that, every method except {#consumed?} and {#inspect} raises {ConsumedError}.
    #
    # Text in any encoding is sent as UTF-8: it is transcoded, and invalid bytes are replaced with U+FFFD. The
    # bytes of binary Strings are taken as UTF-8.
    class Span
      # @!method set_meta(key, value)
      #   Sets a tag, replacing any tag with the same key.
      #   @param key [String, Symbol]
      #   @param value [String, Symbol, nil] nil removes the tag
      #   @return [self]
      #   @raise [TypeError] if the key or value is of another class; numbers and booleans are refused, too
      #   @raise [ConsumedError, FrozenError]
      #
      # @!method set_metric(key, value)
      #   Sets a metric, replacing any metric with the same key. It is sent as a 64-bit float.
      #   @param key [String, Symbol]
      #   @param value [Integer, Float, Rational, nil] nil removes the metric. NaN removes it, too, and is
      #     counted as left out. Infinities are sent.
      #   @return [self]
      #   @raise [TypeError] if the key or value is of another class
      #   @raise [RangeError] if an Integer is too large for a 64-bit float
      #   @raise [ConsumedError, FrozenError]
      #
      # @!method set_meta_struct(key, value)
      #   Sets a structured value, replacing any value with the same key. The value is encoded to MessagePack
      #   at once; later changes to it are not sent.
      #   @param key [String, Symbol]
      #   @param value [nil, Boolean, Integer, Float, String, Symbol, Array, Hash, #to_msgpack, #to_h, #to_ary,
      #     #to_str] Integers from -2**63 to 2**64-1; Hash keys are Strings, Symbols or Integers;
      #     Arrays and Hashes nest up to 64 levels deep; the encoded value takes up to 25 MiB.
      #     A binary String that isn't valid UTF-8 is sent as bytes.
      #   @return [self]
      #   @raise [TypeError] if it contains an object of another class; the message gives the path to it:
      #     `appsec.events[3].when: expected nil, true, ..., got Time`
      #   @raise [RangeError] if it contains an Integer out of range; the message gives the path
      #   @raise [ArgumentError] if it is nested too deeply, is too large or contains itself
      #   @raise [ConsumedError, FrozenError]
      #
      # @!method consumed?
      #   @return [Boolean] whether the span was moved into a {TraceChunks}
      #
      # @!method name
      #   @return [String] frozen, as are all values read back from a span
      # @!method service
      #   @return [String] empty when it was nil
      # @!method resource
      #   @return [String]
      # @!method type
      #   @return [String] empty when it was nil
      # @!method trace_id
      #   @return [Integer] 128 bits
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
      #   @return [Array<Hash>] the keywords of {#add_link} for each link; attributes are flattened
      # @!method events
      #   @return [Array<Hash>] `name`, `time_unix_nano` and `attributes` of each event

      # @param name [String, Symbol] the operation, such as `"web.request"`
      # @param trace_id [Integer] 1 to 2**128-1. Agents drop traces whose lower 64 bits are all 0.
      # @param span_id [Integer] 1 to 2**64-1
      # @param start [Time, Integer] an Integer is nanoseconds since the epoch, in 64 bits
      # @param duration [Integer] nanoseconds, in 64 bits
      # @param service [String, Symbol, nil]
      # @param resource [String, Symbol, nil] nil for the same text as the name
      # @param type [String, Symbol, nil] such as `"web"` or `"sql"`
      # @param parent_id [Integer] 0 to 2**64-1, 0 for none
      # @param error [Integer] 0 for none, in 32 bits
      # @param meta [Hash{String, Symbol => String, Symbol, nil}, nil] tags, see {#set_meta}
      # @param metrics [Hash{String, Symbol => Integer, Float, Rational, nil}, nil] see {#set_metric}
      # @param meta_struct [Hash{String, Symbol => Object}, nil] see {#set_meta_struct}
      # @param links [Array<Hash>, nil] keywords of {#add_link} for each link
      # @param events [Array<Hash>, nil] keywords of {#add_event} for each event
      # @raise [ArgumentError] if a keyword is missing or unknown
      # @raise [TypeError] if a value is of the wrong class; the message names the field
      # @raise [RangeError] if a number is out of range; the message names the field
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
      # @param attributes [Hash{String, Symbol => Object}, nil] sent as text (`to_s`). Values nested in Arrays
      #   and Hashes are sent under keys such as `key.0` and `key.name`; nil is left out.
      # @param tracestate [String, Symbol, nil] of W3C Trace Context
      # @param flags [Integer, nil] trace flags of W3C Trace Context, 0 to 2**31-1; nil if unknown
      # @return [self]
      # @raise [TypeError, RangeError, ArgumentError] if a value can't be sent; the message names the field
      # @raise [ConsumedError, FrozenError]
      def add_link(trace_id:, span_id:, attributes: nil, tracestate: nil, flags: nil)
        append_link(trace_id, span_id, attributes, tracestate, flags)
      end

      # Adds an event. Agents that don't support span events get them as JSON in the tag `events`.
      #
      # @param name [String, Symbol]
      # @param time_unix_nano [Integer, nil] nanoseconds since the epoch, 0 to 2**64-1
      # @param time [Time, #to_time, nil] may be given instead of `time_unix_nano`
      # @param attributes [Hash{String, Symbol => Object}, nil] String, Symbol, 64-bit Integer, finite Float, true,
      #   false, or an Array of values of one of these kinds. Other values are left out and counted.
      # @return [self]
      # @raise [ArgumentError] unless exactly one of `time` and `time_unix_nano` is given
      # @raise [TypeError, RangeError] if a value can't be sent; the message names the field
      # @raise [ConsumedError, FrozenError]
      def add_event(name:, time_unix_nano: nil, time: nil, attributes: nil)
        raise ArgumentError, "time: expected one of time: and time_unix_nano:" unless time.nil? ^ time_unix_nano.nil?

        append_event(name, time, time_unix_nano, attributes)
      end

      # @return [Hash{Symbol => Object}] all fields, as keywords of {#initialize}
      def to_h
        {
          name:, service:, resource:, type:, trace_id:, span_id:, parent_id:, start:, duration:, error:,
          meta:, metrics:, meta_struct:, links:, events:
        }
      end

      # Leaves out the values of tags, which may be secret.
      def inspect
        return "#<#{self.class} consumed>" if consumed?

        ids = "trace_id=#{trace_id} span_id=#{span_id} parent_id=#{parent_id}"
        "#<#{self.class} #{name[0, 60].inspect} #{ids} meta=#{meta.size} metrics=#{metrics.size}>"
      rescue Error
        "#<#{self.class} not initialized>"
      end

      private

      # A copy would be a second owner.
      def initialize_copy(_)
        raise TypeError, "can't copy #{self.class}"
      end
    end
  end
end
