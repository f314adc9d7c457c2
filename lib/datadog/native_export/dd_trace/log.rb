# frozen_string_literal: true

require "set"

module Datadog
  module NativeExport
    module DDTrace
      # Writes to the tracer's log, whichever that is at the time. Exporters use it as their logger.
      # @api private
      module Log
        PREFIX = "datadog-native-export: "

        @warned = Set.new

        class << self
          def warn(line)
            logger.warn(line)
          end

          # Logs to the tracer's future log while the tracer is being configured.
          #
          # @param settings [Datadog::Core::Configuration::Settings]
          def while_configuring(settings)
            @logger = settings.logger.instance
            yield
          ensure
            @logger = nil
          end

          # Warns once in a process and its children, since settings are read again with each configuration.
          # A logger that raises must not keep the application from starting.
          def warn_once(line)
            warn("#{PREFIX}#{line}") if @warned.add?(line)
          rescue StandardError
            nil
          end

          # Warns from where nothing may wait, as {LogThread} says.
          def later(line)
            LogThread.post { warn("#{PREFIX}#{line}") }
          end

          # Logs an error that must not reach the application.
          def debug(error)
            logger.debug do
              "#{PREFIX}#{error.class}: #{error.message} at #{Array(error.backtrace).first}"
            end
          rescue StandardError
            nil
          end

          # Logs a trace in the form in which it is sent, as dd-trace-rb's HTTP transport does.
          #
          # @param segment [Datadog::Tracing::TraceSegment] formatted
          def flushing(segment)
            logger = Datadog.logger
            return unless logger.debug?

            logger.debug { "Flushing trace: #{serialized(segment)}" }
          rescue StandardError => e
            debug(e)
          end

          private

          def logger = @logger || (Datadog.respond_to?(:logger) ? Datadog.logger : Kernel)

          # As it is sent, or in early versions, which can't decode that, as JSON.
          def serialized(segment)
            encoder = Datadog::Core::Encoding::MsgpackEncoder
            trace = serializable(segment)
            encoder.respond_to?(:decode) ? encoder.decode(encoder.encode(trace)) : trace.to_json
          end

          # Early versions know no span events, and take no such option.
          def serializable(segment)
            trace = Datadog::Tracing::Transport::SerializableTrace
            events = trace.instance_method(:initialize).parameters.any? { |_, name| name == :native_events_supported }
            events ? trace.new(segment, native_events_supported: true) : trace.new(segment)
          end
        end
      end
    end
  end
end
