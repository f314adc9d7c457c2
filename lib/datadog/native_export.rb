# frozen_string_literal: true

require_relative "native_export/version"
require_relative "native_export/errors"
require "datadog_native_export/datadog_native_export"
require_relative "native_export/span"
require_relative "native_export/trace_chunks"
require_relative "native_export/environment"
require_relative "native_export/response"
require_relative "native_export/exporter"
require_relative "native_export/registry"

module Datadog
  # Exports trace spans to the Datadog agent without serializing them in Ruby.
  #
  # {Span}s are gathered in {TraceChunks}, which an {Exporter} sends in the background.
  module NativeExport
  end
end
