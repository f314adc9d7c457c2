# frozen_string_literal: true

module Datadog
  module NativeExport
    # A list of trace chunks to be exported. A chunk holds spans of one trace, which are sent or dropped together.
    #
    # {Exporter#export} and {Exporter#send_trace_chunks} consume the list. After that, every method except
    # {#consumed?} raises {ConsumedError}.
    class TraceChunks
      # @!method push_span(span)
      #   Moves a span into the current chunk. Also available as `<<`.
      #   @param span [Span] consumed, unless this raises
      #   @return [self]
      #   @raise [Error] if no chunk was begun
      #   @raise [ArgumentError] if the span's trace id differs from the chunk's: an agent would drop such spans
      #     without reporting it
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
      #   @return [Boolean] whether the chunks were handed to an {Exporter}

      # @param capacity [Integer] number of chunks to reserve memory for
      # @raise [TypeError, ArgumentError] if the capacity isn't an Integer of 0 or more
      def initialize(capacity: 0)
        reserve(capacity)
      end

      # Begins a chunk, which becomes the current one. A chunk without spans isn't sent.
      #
      # @param capacity [Integer] number of spans to reserve memory for
      # @return [self]
      # @raise [TypeError, ArgumentError] if the capacity isn't an Integer of 0 or more
      # @raise [ConsumedError, FrozenError]
      def begin_chunk(capacity: 0)
        start_chunk(capacity)
      end

      # Converts the spans of a trace into a chunk of their own. The spans are read by their instance variables:
      # none of their methods is called, and no Ruby object is created.
      #
      # A value that can't be sent is repaired or left out, and counted in {Exporter#stats}; the rest of the span
      # is sent. A trace that can't be sent at all, for example because a span has no id, is refused: its spans
      # are counted as `invalid` when the chunks are exported. {file:docs/tracer-spans.md} has the rules for each
      # instance variable.
      #
      # @param spans [Array<Datadog::Tracing::Span>] spans of one trace, or other objects with the same instance
      #   variables. They are not modified.
      # @param strict [Boolean] whether to raise for values that would be repaired or left out, and for traces
      #   that would be refused; if this raises, no span of the trace is added
      # @return [Boolean] whether the trace was added
      # @raise [TypeError] if `spans` isn't an Array
      # @raise [TypeError, RangeError, ArgumentError] if `strict`; the message gives the place:
      #   `spans[3].meta["a"]: ...`
      # @raise [ConsumedError, FrozenError]
      def push_trace(spans, strict: false)
        lower_trace(spans, strict)
      end

      # Converts spans of OpenTelemetry's SDK into chunks, one for each trace. {file:docs/opentelemetry.md} says what
      # becomes of each field.
      #
      # A value that can't be sent is repaired or left out, and counted in {Exporter#stats}; the rest of the span
      # is sent. A span that can't be sent at all, for example because its ids aren't ids, is refused: it is counted
      # as `invalid` when the chunks are exported.
      #
      # @param span_data [Array<OpenTelemetry::SDK::Trace::SpanData>] spans of any traces, or other Structs with the
      #   same members. They are not modified.
      # @param otlp [Boolean] whether the chunks are for an exporter that sends to an OTLP endpoint. For the Datadog
      #   agent spans get the names and tags that it gives to those that it receives by OTLP.
      # @return [Boolean] whether all spans were added
      # @raise [TypeError] if `span_data` isn't an Array
      # @raise [ConsumedError, FrozenError]
      def push_span_data(span_data, otlp: false)
        lower_span_data(span_data, otlp)
      end

      private

      # A copy would be a second owner.
      def initialize_copy(_)
        raise TypeError, "can't copy #{self.class}"
      end
    end
  end
end
