# frozen_string_literal: true

module Datadog
  module NativeExport
    # Hands lines to loggers, on a Ruby thread that starts with the first and ends with the last of them.
    #
    # A logger belongs to the application: it may be slow, may wait for a lock, and may raise anything. So it isn't
    # called by those who export, whose requests it would hold up. Nor is it left to calls that may wait anyway:
    # most applications make none until they end, and should learn of a loss when it begins.
    # @api private
    module LogThread
      # Jobs that wait at most. Exporters limit their lines themselves: only a logger that hangs lets them pile up.
      LIMIT = 64
      # Seconds that calls wait for the logger which may wait for the agent, too.
      PATIENCE = 1
      private_constant :LIMIT

      @pid = nil

      class << self
        # Has the thread run a block. Never waits.
        #
        # @param key [Object] of which one job waits at a time
        # @return [void]
        def post(key = Object.new, &job)
          forget_parent unless @pid == Process.pid
          return if @jobs.size >= LIMIT

          @jobs[key] ||= job
          start unless @thread&.alive?
        end

        # Waits for all jobs.
        #
        # @param seconds [Numeric] to wait at most
        # @return [void]
        def wait(seconds = PATIENCE)
          thread = @thread
          # A logger may flush.
          thread.join(seconds) if thread && !thread.equal?(Thread.current)
        end

        private

        def forget_parent
          @pid = Process.pid
          @jobs = {}
          @thread = nil
        end

        # The jobs stay for the next call where there can be no thread.
        def start
          thread = Thread.new do
            @thread = Thread.current
            work
          end
          thread.name = "Datadog::NativeExport log"
          # Puma warns of threads that a fork would end. This one starts anew in a child.
          thread.thread_variable_set(:fork_safe, true)
          thread.report_on_exception = false
          @thread = thread
        rescue ThreadError
          nil
        end

        def work
          while (job = take)
            perform(job)
          end
        end

        # Only when there is no thread any more it is seen that there are no jobs: who comes in between starts another.
        def take
          _, job = @jobs.shift
          return job if job || !Thread.current.equal?(@thread)

          @thread = nil
          _, job = @jobs.shift
          job
        end

        def perform(job)
          job.call
        rescue Exception # rubocop:disable Lint/RescueException
          # There is nowhere left to tell of it.
          nil
        end
      end
    end
    private_constant :LogThread
  end
end
