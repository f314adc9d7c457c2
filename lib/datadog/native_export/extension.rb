# frozen_string_literal: true

require_relative "library"

module Datadog
  module NativeExport
    class << self
      # @return [Exception, nil] why the native extension is not loaded: what failed, or that
      #   `DD_NO_NATIVE_EXPORT_EXTENSION` is set
      attr_reader :load_error

      # @return [Boolean] whether the native extension is loaded. Without it {Span}, {TraceChunks} and
      #   {Exporter} raise {UnavailableError}, and {.enable!} leaves the tracer as it is.
      def available? = load_error.nil?
    end

    begin
      Library.load
    rescue ScriptError, StandardError => e
      # An application has to boot without it.
      @load_error = e
    end

    if available?
      require_relative "span"
      require_relative "trace_chunks"
      require_relative "fibers"
      require_relative "exporter"
      require_relative "registry"
      private_class_method :flush_all, :take_unsent_lines
    else
      # What takes the place of each class that the extension would have defined.
      unavailable = Class.new do
        def self.new(*, **)
          reason = NativeExport.load_error
          raise UnavailableError, "#{name} needs the native extension, which could not be loaded: #{reason.message}"
        end

        def self.of(*) = new
      end
      %i[Span TraceChunks Exporter].each do |name|
        remove_const(name) if const_defined?(name, false)
        const_set(name, Class.new(unavailable))
      end
    end
  end
end
