# frozen_string_literal: true

module Datadog
  module NativeExport
    # The exporters of this process, with their loggers: what a shareable exporter can't hold itself.
    # Lives on the main Ractor.
    #
    # At the end of the process what is queued is sent, for as long as the longest `shutdown_timeout`.
    # Exporters stay open, since what runs at exit after this may export more.
    # @api private
    module Registry
      MAIN = Ractor.current

      @exporters = ObjectSpace::WeakMap.new
      @loggers = {}

      class << self
        def add(exporter, logger)
          return unless here?

          # In Ruby 3.1 a key may be one that was collected, unless its value was, too.
          @exporters[exporter] = exporter
          return unless logger

          id = exporter.object_id
          @loggers[id] = logger
          ObjectSpace.define_finalizer(exporter, forget(id))
        end

        def logger(exporter)
          id = exporter.object_id
          @loggers.fetch(id) { default_logger }
        end

        # Whether this is the Ractor that the registry lives on.
        def here? = Ractor.current == MAIN

        def flush
          NativeExport.flush_all
          @exporters.each_value { |exporter| exporter.__send__(:report_at_exit) }
          # Those of exporters that nobody holds any more.
          NativeExport.take_unsent_lines.each { |line| tell_loss(line) { default_logger } }
        end

        # A logger that fails must not change how the process ends.
        def tell_loss(line)
          yield.warn("datadog-native-export: #{line}")
        rescue StandardError
          nil
        end

        # A Logger takes a lock, which Ruby forbids in a signal handler.
        def in_trap?
          Mutex.new.lock
          false
        rescue ThreadError
          true
        end

        private

        def default_logger
          # Where a child ends that a signal handler forked. Not even `require` works there.
          return Kernel if in_trap?

          require "logger"
          Logger.new($stderr)
        end

        def forget(id) = ->(_) { @loggers.delete(id) }
      end

      at_exit { flush }
    end
    private_constant :Registry
  end
end
