# frozen_string_literal: true

module Datadog
  module NativeExport
    # Chunks of spans on their way to an {Exporter}: each chunk holds spans of one trace, which are
    # sent or dropped together. Handing it over consumes it; from then on every call but
    # {#consumed?} raises {ConsumedError}.
    class TraceChunks
      # @!method push_span(span)
      #   Moves a span into the current chunk. `<<` does the same.
      #   @param span [Span] consumed by this, or left as it was by an error
      #   @return [self]
      #   @raise [Error] when no chunk was begun
      #   @raise [ArgumentError] when the span's trace id isn't that of the chunk, which an agent
      #     would drop without a word
      #   @raise [TypeError, ConsumedError, FrozenError]
      #
      # @!method size
      #   @return [Integer] number of chunks begun
      #
      # @!method span_count
      #   @return [Integer] number of spans in all chunks
      #
      # @!method empty?
      #   @return [Boolean] whether no chunk was begun
      #
      # @!method consumed?
      #   @return [Boolean] whether the chunks were handed over

      # @param capacity [Integer] number of chunks to make room for
      # @raise [TypeError, ArgumentError] for a capacity that is no Integer of 0 or more
      def initialize(capacity: 0)
        reserve(capacity)
      end

      # Begins a chunk, into which spans are pushed from then on. A chunk without spans isn't sent.
      #
      # @param capacity [Integer] number of spans to make room for
      # @return [self]
      # @raise [TypeError, ArgumentError] for a capacity that is no Integer of 0 or more
      # @raise [ConsumedError, FrozenError]
      def begin_chunk(capacity: 0)
        start_chunk(capacity)
      end

      # Lowers the spans of a tracer into a chunk of their own, by reading their instance variables: no
      # method of theirs is called, and no Ruby object is made.
      #
      # One odd value costs itself at most: it is repaired or left out, and counted in
      # {Exporter#stats}. Where a trace can't be sent at all (a span without an id), its spans are
      # counted as `invalid` once the chunks are handed over. The README lists what becomes of what.
      #
      # @param spans [Array<Datadog::Tracing::Span>] of one trace, or other objects with the same instance
      #   variables. They are left as they are.
      # @param strict [Boolean] whether to raise instead, in which case nothing of the trace is taken
      # @return [Boolean] whether the trace was taken
      # @raise [TypeError] when `spans` is no Array
      # @raise [TypeError, RangeError, ArgumentError] when strict, with the place: `spans[3].meta["a"]: ...`
      # @raise [ConsumedError, FrozenError]
      def push_trace(spans, strict: false)
        lower_trace(spans, strict)
      end

      private

      # Chunks have one owner.
      def initialize_copy(_)
        raise TypeError, "can't copy #{self.class}"
      end
    end
  end
end
