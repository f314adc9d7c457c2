# frozen_string_literal: true

module Datadog
  module NativeExport
    module DDTrace
      # Events of a writer that outlives configurations, which dd-trace-rb's own doesn't.
      # @api private
      class Events < Datadog::Tracing::Writer::Events
        def initialize
          super
          @after_send = AfterSend.new
        end

        # Keeps only those of the tracer's subscriptions that belong to its present configuration. Otherwise each
        # `Datadog.configure` would add some, which hold the samplers of former configurations.
        class AfterSend < Datadog::Tracing::Writer::Events::AfterSend
          # Where the tracer subscribes to its writer.
          TRACER = "/datadog/tracing/component.rb"
          private_constant :TRACER

          def subscribe(&block)
            # A block of the same line is there already: the tracer is being configured anew.
            known = subscriptions.select { |subscription| tracer?(subscription) }.map(&:source_location)
            @subscriptions = subscriptions.reject { |other| tracer?(other) } if known.include?(block&.source_location)
            super
          end

          private

          def tracer?(block) = block.source_location&.first.to_s.end_with?(TRACER)
        end
      end
    end
  end
end
