# frozen_string_literal: true

module Datadog
  module NativeExport
    module DDTrace
      # Tells whether the dd-trace-rb that is loaded is one that this gem works with.
      # @api private
      module Compatibility
        # Every 2.x has these, and nothing before does.
        NEEDED = %w[
          Datadog::Core::Configuration::AgentSettingsResolver
          Datadog::Tracing::Contrib::Component
          Datadog::Tracing::Pipeline
          Datadog::Tracing::Runtime::Metrics
          Datadog::Tracing::Transport::HTTP::Statistics
          Datadog::Tracing::Transport::TraceFormatter
          Datadog::Tracing::Writer::Events
        ].freeze
        private_constant :NEEDED

        class << self
          # @return [String, nil] why traces can't be exported natively in this process, nil if they can
          def unsupported_reason
            return NativeExport.load_error.message.lines.first&.chomp unless NativeExport.available?
            return "dd-trace-rb isn't loaded: require \"datadog\" first" unless defined?(Datadog::VERSION::STRING)

            missing = NEEDED.reject { |name| Object.const_defined?(name) }
            "dd-trace-rb #{Datadog::VERSION::STRING} has no #{missing.join(", ")}" unless missing.empty?
          end

          # @return [void]
          # @raise [UnavailableError] when the native extension could not be loaded
          # @raise [TracerError] when dd-trace-rb isn't loaded or is of a version that isn't supported
          def require!
            reason = unsupported_reason or return
            raise NativeExport.available? ? TracerError : UnavailableError, reason
          end
        end
      end
    end
  end
end
