# frozen_string_literal: true

module Datadog
  module NativeExport
    # Keeps calls that wait in native code from holding up the fibers of their thread.
    # @api private
    module Fibers
      class << self
        # Runs a block that blocks its thread. With a Fiber scheduler, another thread runs it: that is what schedulers
        # know how to wait for. An exception that ends the wait, as of a timeout or a task that is stopped, ends the
        # block, too.
        #
        # @return [Object] what the block returns
        def wait(&block)
          # A signal handler must be done before any fiber goes on.
          return yield if Fiber.current_scheduler.nil? || Registry.in_trap?

          thread = start(&block)
          return yield unless thread

          result, error = thread.value
          # From here: the frames of the thread tell nobody who called.
          raise error, error.message, caller if error

          result
        ensure
          thread&.kill
        end

        private

        # @return [Thread, nil] nil where there can be no thread
        def start
          Thread.new do
            [yield, nil]
          rescue StandardError => e
            [nil, e]
          end
        rescue ThreadError
          nil
        end
      end
    end
    private_constant :Fibers
  end
end
