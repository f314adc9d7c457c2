# frozen_string_literal: true

require_relative "native_export/version"
require_relative "native_export/errors"
require_relative "native_export/environment"
require_relative "native_export/configuration"
require_relative "native_export/response"
require_relative "native_export/extension"
require_relative "native_export/default_exporter"

# What Datadog's gems share.
module Datadog
  # Exports trace spans to the Datadog agent without serializing them in Ruby.
  #
  # {Span}s are gathered in {TraceChunks}, which an {Exporter} sends in the background. To users of
  # dd-trace-rb, {.enable!} is all there is to know.
  module NativeExport
    # These need dd-trace-rb, which this gem never loads by itself.
    autoload :DDTrace, "datadog/native_export/dd_trace"
    autoload :Transport, "datadog/native_export/dd_trace/transport"
    autoload :Writer, "datadog/native_export/dd_trace/writer"
    private_constant :DDTrace

    autoload :Doctor, "datadog/native_export/doctor"
    private_constant :Doctor

    autoload :OpenTelemetryExporter, "datadog/native_export/open_telemetry"

    # @!method self.private_layouts?
    #   Returns whether `push_trace` reads Ruby's objects where this Ruby keeps their contents, for speed, rather than
    #   by Ruby's own calls; see {file:docs/performance.md}.
    #   @return [Boolean]

    # Makes dd-trace-rb's tracer export through a {Writer}, now and after each `Datadog.configure`. Where that can't be,
    # the tracer keeps its own transport, and one line in its log says why. What the application configures afterwards
    # comes first: a tracer, a writer or a transport of its own, test mode, or no tracing. Then the {Writer} stands
    # aside, with one line in the tracer's log.
    #
    # @param options [Hash{Symbol => Object}] see {Writer#initialize}
    # @return [Boolean] whether traces are exported natively by the tracer's present settings
    # @raise [ArgumentError, ConfigurationError] for an option that can't be used
    def self.enable!(**options) = DDTrace::Enable.call(**options)

    # Finds out whether traces arrive, and if not, why: looks at Ruby, the extension and the configuration, asks the
    # agent or the OTLP collector what it is, and sends a trace of one span. Takes 15 seconds at most. Also a command:
    # `datadog-native-export doctor`.
    #
    # @example In a process that has been configured
    #   puts Datadog::NativeExport.doctor
    #
    # @param options [Hash{Symbol => Object}] of {Exporter#initialize}; without any, what {.configure} was told, or
    #   else what the tracer's {Writer} goes by, or else variables and defaults
    # @return [Doctor::Report] with `ok?`, `to_s`, `to_h` and `to_json`; {file:docs/operations.md} describes it
    def self.doctor(**options) = Doctor.new(options).examine
  end
end
