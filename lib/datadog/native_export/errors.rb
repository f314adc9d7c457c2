# frozen_string_literal: true

module Datadog
  module NativeExport
    # What this gem raises of its own. Wrong arguments raise Ruby's ArgumentError, TypeError and
    # RangeError.
    class Error < StandardError; end

    # A {Span} or {TraceChunks} was used after it had been handed over.
    class ConsumedError < Error; end

    # {Exporter#flush} or {Exporter#send_trace_chunks} was called after {Exporter#shutdown}.
    class ClosedError < Error; end

    # The time given to a call ran out. What it waited for goes on.
    class TimeoutError < Error; end

    # The native extension could not be loaded, see {NativeExport.load_error}.
    class UnavailableError < Error; end

    # dd-trace-rb is not loaded, or is a version that {Transport} and {Writer} don't work with.
    class TracerError < Error; end

    # An option of an {Exporter} can't be used.
    class ConfigurationError < Error; end
  end
end
