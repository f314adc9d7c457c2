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
      # @!method consumed?
      #   @return [Boolean] whether the span was handed over

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
      # @raise [ArgumentError] for a missing or unknown keyword
      # @raise [TypeError] for a value of the wrong class, naming the field
      # @raise [RangeError] for a number out of its range, naming the field
      def initialize(name:, trace_id:, span_id:, start:, duration:, service: nil, resource: nil, type: nil,
                     parent_id: 0, error: 0, meta: nil, metrics: nil)
        lower(name, service, resource, type, trace_id, span_id, parent_id, start, duration, error, meta, metrics)
      end

      private

      # A span has one owner.
      def initialize_copy(_)
        raise TypeError, "can't copy #{self.class}"
      end
    end
  end
end
