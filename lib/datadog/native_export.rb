# frozen_string_literal: true

require_relative "native_export/version"
require_relative "native_export/errors"
require_relative "native_export/environment"
require_relative "native_export/response"
require_relative "native_export/extension"

module Datadog
  # Exports trace spans to the Datadog agent without serializing them in Ruby.
  #
  # {Span}s are gathered in {TraceChunks}, which an {Exporter} sends in the background. To users of
  # dd-trace-rb, {.enable!} is all there is to know.
  module NativeExport
    # Need dd-trace-rb, which this gem never loads by itself.
    autoload :Feedback, "datadog/native_export/feedback"
    autoload :Tracer, "datadog/native_export/tracer"
    autoload :Transport, "datadog/native_export/transport"
    autoload :Writer, "datadog/native_export/writer"
    private_constant :Feedback, :Tracer

    # Makes dd-trace-rb's tracer export through a {Writer}, now and after each `Datadog.configure`. Where
    # that can't be, the tracer keeps its own transport, and one line in its log says why.
    #
    # @param options [Hash{Symbol => Object}] see {Writer#initialize}
    # @return [Boolean] whether traces are exported natively
    # @raise [ArgumentError, ConfigurationError] for an option that can't be used
    def self.enable!(**options)
      if (obstacle = Tracer.obstacle)
        Tracer.warn("datadog-native-export: off, the tracer keeps its own transport: #{obstacle}")
        return false
      end
      return true if options.empty? && Tracer.writer.is_a?(Writer)

      Tracer.writer = Writer.new(**options)
      true
    end
  end
end
