# frozen_string_literal: true

module Datadog
  module NativeExport
    # Base class of the errors that this gem defines. Wrong arguments raise Ruby's own ArgumentError, TypeError and
    # RangeError.
    class Error < StandardError; end

    # Raised when a {Span} or {TraceChunks} is used after it was handed over.
    class ConsumedError < Error; end

    # Raised by {Exporter#flush} and {Exporter#send_trace_chunks} after {Exporter#shutdown}.
    class ClosedError < Error; end

    # The {Response#error} of a call whose time ran out. Sending goes on in the background.
    class TimeoutError < Error; end

    # Raised when the native extension could not be loaded; see {NativeExport.load_error}.
    class UnavailableError < Error; end

    # Raised when dd-trace-rb isn't loaded, or its version doesn't work with {Transport} and {Writer}.
    class TracerError < Error; end

    # Raised when the value of an {Exporter}'s option can't be used.
    class ConfigurationError < Error; end
  end
end
