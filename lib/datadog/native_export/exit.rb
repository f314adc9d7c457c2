# frozen_string_literal: true

module Datadog
  module NativeExport
    # The end of the process: what is queued is sent, for as long as the longest `shutdown_timeout`.
    # Exporters stay open, since what runs at exit after this may export more.
    # @api private
    module Exit
      @exporters = ObjectSpace::WeakMap.new

      class << self
        def watch(exporter)
          @exporters[exporter] = true
        end

        def flush
          NativeExport.flush_all
          @exporters.each_key { |exporter| exporter.__send__(:report_at_exit) }
        end
      end

      at_exit { flush }
    end
    private_constant :Exit
  end
end
