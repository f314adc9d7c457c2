# frozen_string_literal: true

require "logger"
require_relative "log_thread"

module Datadog
  module NativeExport
    # The exporters of this process, with their loggers: a shareable exporter can't hold one itself. Lives on the main
    # Ractor.
    #
    # At the end of the process sends what is queued, for as long as the longest `shutdown_timeout`. Exporters stay
    # open, since handlers that run later may export more.
    # @api private
    module Registry
      MAIN = Ractor.current
      private_constant :MAIN

      @exporters = ObjectSpace::WeakMap.new
      @loggers = {}
      @drained = ObjectSpace::WeakMap.new

      class << self
        # @param exporter [Exporter]
        # @param logger [#warn, nil] nil for standard error
        # @return [void]
        def add(exporter, logger)
          return unless main_ractor?

          # In Ruby 3.1 a key may be one that was collected, unless its value was, too.
          @exporters[exporter] = exporter
          return unless logger

          id = exporter.object_id
          @loggers[id] = logger
          ObjectSpace.define_finalizer(exporter, forget(id))
        end

        # @return [#warn]
        def logger(exporter)
          id = exporter.object_id
          @loggers.fetch(id) { default_logger }
        end

        # Drains an object before exporters are flushed at the end of the process, unless it was collected.
        #
        # @param object [#drain] called with the seconds it may take
        # @return [void]
        def drain_at_exit(object)
          @drained[object] = object
        end

        # @return [Boolean] whether this is the Ractor that the registry lives on
        def main_ractor? = Ractor.current == MAIN

        # @return [Boolean] whether a signal is being handled, where Ruby forbids to take a Mutex
        def in_trap?
          # Unlocked again: Ruby 3.1 may crash when it frees a locked one after the fiber that has locked it.
          Mutex.new.synchronize { false }
        rescue ThreadError
          true
        end

        # Sends what is queued and logs what is lost with the process.
        #
        # @return [void]
        def flush
          @drained.values.each { |object| object.drain(LogThread::PATIENCE) } # rubocop:disable Style/HashEachMethods
          NativeExport.__send__(:flush_all)
          @exporters.each_value { |exporter| exporter.__send__(:report_at_exit) }
          # The others are of exporters that were collected.
          NativeExport.__send__(:take_unsent_lines).each { |line| LogThread.post { log_unsent(line) } }
          LogThread.wait
        end

        private

        def log_unsent(line) = default_logger.warn("datadog-native-export: #{line}")

        def default_logger = Logger.new($stderr)

        def forget(id) = ->(_) { @loggers.delete(id) }
      end

      at_exit { flush }
    end
    private_constant :Registry
  end
end
