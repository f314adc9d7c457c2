# frozen_string_literal: true

module Datadog
  module NativeExport
    module DDTrace
      # Has the tracer use a {Writer}, from one configuration to the next, and says when it doesn't.
      #
      # Settings aren't final when {NativeExport.enable!} is called: the application, or a library like datadog-ci,
      # may choose otherwise afterwards. So they are looked at again whenever the tracer has been configured.
      # @api private
      module Enable
        class << self
          # @param options [Hash{Symbol => Object}] see {Writer#initialize}
          # @return [Boolean] whether traces are exported natively
          def call(**options)
            reason = Compatibility.unsupported_reason
            return refuse(reason) if reason

            current = settings.tracing.writer
            writer = options.empty? && current.is_a?(Writer) ? current : Writer.new(**options)
            reason = reason_against(writer)
            return refuse(reason) if reason

            use(writer)
            reason_against(writer).nil?
          end

          # Asks the tracer to call {.configured} whenever it has been configured, by the means that it has for its
          # integrations.
          #
          # @return [void]
          def watch_configuration
            Datadog::Tracing::Contrib::Component.register("datadog-native-export") do |settings|
              Log.while_configuring(settings) { configured(settings) }
            end
          end

          private

          # @param settings [Datadog::Core::Configuration::Settings]
          def configured(settings)
            writer = settings.tracing.writer
            writer.configured(settings) if writer.is_a?(Writer) && !synchronous?(settings.tracing.test_mode)
            return unless @writer

            reason = reason_not_used(@writer)
            Log.warn("#{Log::PREFIX}stands aside: #{reason}") if reason && reason != @reason
            @reason = reason
          end

          def settings = Datadog.configuration

          def refuse(reason)
            Log.warn("#{Log::PREFIX}off, the tracer keeps its own transport: #{reason}")
            false
          end

          # Components that run already are made anew; otherwise they are left for the application's own
          # `Datadog.configure` to start, with all of its settings.
          def use(writer)
            @writer = writer
            @reason = nil
            return if settings.tracing.writer.equal?(writer)
            return settings.tracing.writer = writer unless Datadog.__send__(:components?)

            Datadog.configure { |c| c.tracing.writer = writer }
          end

          def reason_against(writer)
            reason_not_used(writer) || writer.reason_to_yield(settings)
          end

          # Why the tracer leaves a writer alone that it was given.
          def reason_not_used(writer)
            tracing = settings.tracing
            other = tracing.writer
            if !tracing.enabled then "tracing is disabled"
            elsif own_tracer?(tracing) then "c.tracing.instance is a tracer of the application's own"
            elsif apart?(tracing.test_mode) then "test mode writes traces synchronously"
            elsif !other.nil? && !other.is_a?(Writer) then "c.tracing.writer is the application's own: #{other.class}"
            elsif @writer.equal?(writer) && other.nil? then "c.tracing.writer was reset"
            end
          end

          def own_tracer?(tracing)
            tracer = tracing.instance
            tracer && !(tracer.respond_to?(:writer) && tracer.writer.is_a?(Writer))
          end

          # Test mode gives traces to a writer of its own then, which sends each at once.
          def synchronous?(test_mode) = test_mode.enabled && !test_mode.async

          def apart?(test_mode)
            synchronous?(test_mode) && !native?(test_mode)
          end

          def native?(test_mode) = WriterOptions.new(test_mode.writer_options || {}).transport.is_a?(Transport)
        end
      end
    end
  end
end
