# frozen_string_literal: true

module Datadog
  module NativeExport
    module DDTrace
      # Runs the application's `before_flush` processors, formats traces and lowers them on a Ruby thread of its own, so
      # that requests don't wait for that, as they don't with the tracer's own writer. docs/performance.md has what that
      # gains. The thread starts with the first trace, in each process anew.
      # @api private
      class Worker
        # Traces that wait at most, as in the tracer's own buffer.
        LIMIT = 1_000
        # Seconds that the thread rests when nothing waits, since waking it for each trace would interrupt requests.
        REST = 0.1
        # Traces after which the thread lets others run: a millisecond's work. It does more in a row, this part of all
        # that wait, where it couldn't keep up with busy threads otherwise.
        TURN = 8
        SHARE = 16
        # How many times in a row spans are processed that processors have made.
        GENERATIONS = 8
        # Seconds between two looks at whether traces are processed: in a signal handler, where a condition variable
        # can't be used, there is nothing better.
        STEP = 0.005
        # An interrupt between taking a trace and counting it would lose it uncounted. Processors can be interrupted.
        UNDISTURBED = { Object => :on_blocking }.freeze
        DISTURBED = { Object => :immediate }.freeze
        # Tells when all that was added before it is done.
        Marker = Struct.new(:reached)
        # Of one process: what its parent has not done is the parent's.
        Backlog = Struct.new(:pid, :queue, :made, :processing, :thread, :lock, :hurry) do
          def self.of_this_process
            new(Process.pid, Thread::Queue.new, [], false, nil, Thread::Mutex.new, Thread::ConditionVariable.new)
          end

          # Returns whether the caller is a processor.
          def processor? = processing && thread.equal?(Thread.current)
        end
        private_constant :GENERATIONS, :STEP, :UNDISTURBED, :DISTURBED, :Marker, :Backlog

        # Returns whether there are processors. Versions that keep them elsewhere are taken to have some.
        #
        # @return [Boolean]
        def self.processors?
          processors = Datadog::Tracing::Pipeline.instance_variable_get(:@processors)
          processors.nil? || !processors.empty?
        end

        # @param deliver [#call] takes the Array of segments that processors have made of one
        # @param drop [#call] takes a number of traces that are lost
        # @param poll [#call] called after traces were delivered, at the latest when the thread rests
        def initialize(deliver:, drop:, poll:)
          @deliver = deliver
          @drop = drop
          @poll = poll
          @lost = 0
          @starting = Mutex.new
          @backlog = Backlog.of_this_process
          Registry.drain_at_exit(self)
        end

        # Never waits.
        #
        # @param segment [Datadog::Tracing::TraceSegment]
        # @return [void]
        def add(segment)
          backlog = present
          # A processor's own trace is next, and not the last of many: more of them may come of it.
          return backlog.made << segment if backlog.processor?
          return overflow(segment) if backlog.queue.size >= LIMIT

          recover if @lost.positive? && backlog.queue.size <= LIMIT / 2
          backlog.queue << segment
          # Processors can't run in a signal handler.
          step(backlog) unless start(backlog) || self.class.processors?
        end

        # Waits until what was added so far is done.
        #
        # @param timeout [Numeric, nil] seconds to wait at most
        # @return [Boolean] false when the time ran out
        def drain(timeout)
          backlog = present
          return true if backlog.thread.nil? && backlog.queue.empty?
          return true if backlog.thread.equal?(Thread.current)

          deadline = timeout && (Clock.now + timeout)
          backlog.queue << (marker = Marker.new(false))
          until marker.reached
            return false if deadline && Clock.now >= deadline

            backlog.hurry.broadcast
            sleep(STEP) if start(backlog) || !step(backlog)
          end
          true
        end

        # Ends the thread when it is done with what it has.
        #
        # @return [void]
        def close
          backlog = present
          backlog.queue << nil if backlog.thread
          backlog.hurry.broadcast
        end

        # @return [Integer] number of traces that wait
        def size = present.queue.size

        private

        def present
          renew unless @backlog.pid == Process.pid
          @backlog
        end

        # In a forked child, once, whichever of its threads come first.
        def renew
          interrupted = @starting.owned?
          Thread.pass until interrupted || @starting.try_lock
          @backlog = Backlog.of_this_process unless @backlog.pid == Process.pid
        ensure
          @starting.unlock if @starting.owned? && !interrupted
        end

        # Not by `synchronize`, which isn't allowed in a signal handler. Where another thread is about to start one,
        # this need not. An interrupt must not leave the lock taken. Returns false where there can be no thread.
        def start(backlog)
          return true if backlog.thread&.alive? || @starting.owned?

          begin
            launch(backlog) if @starting.try_lock && !backlog.thread&.alive?
            true
          ensure
            @starting.unlock if @starting.owned?
          end
        rescue ThreadError
          false
        end

        def launch(backlog)
          thread = Thread.new do
            Thread.current.report_on_exception = false
            backlog.thread = Thread.current
            work(backlog)
          end
          thread.name = "Datadog::NativeExport traces"
          # Puma warns of threads that a fork would end. This one starts anew in a child.
          thread.thread_variable_set(:fork_safe, true)
          backlog.thread = thread
        end

        def work(backlog)
          loop do
            [TURN, backlog.queue.size / SHARE].max.times do
              return unless take(backlog)
              break if backlog.queue.empty?
            end
            poll
            backlog.queue.empty? ? rest(backlog) : Thread.pass
          end
        end

        # Returns false when there will be nothing more.
        def take(backlog)
          Thread.handle_interrupt(UNDISTURBED) do
            item = backlog.queue.pop
            return false if item.nil? && ended?(backlog)

            handle(backlog, item)
          end
          true
        end

        def rest(backlog)
          backlog.lock.synchronize { backlog.hurry.wait(backlog.lock, REST) }
        end

        # Whatever subscribers do.
        def poll
          @poll.call
        rescue Exception => e # rubocop:disable Lint/RescueException
          Log.debug(e)
        end

        # Does what a thread would do. Returns whether there was anything.
        def step(backlog)
          Thread.handle_interrupt(UNDISTURBED) { handle(backlog, backlog.queue.pop(true)) }
          true
        rescue ThreadError
          false
        end

        def handle(backlog, item)
          case item
          when Marker then item.reached = true
          when nil then nil
          else process(backlog, item)
          end
        end

        # First there is no thread, then it is seen whether there is work: what comes in between starts another.
        def ended?(backlog)
          backlog.thread = nil
          return true if backlog.queue.empty?

          backlog.thread = Thread.current
          false
        end

        def process(backlog, segment)
          backlog.processing = true
          run(segment)
          GENERATIONS.times { backlog.made.shift(backlog.made.size).each { |made| run(made) } }
          @drop.call(backlog.made.size) unless backlog.made.empty?
          backlog.made.clear
        ensure
          backlog.processing = false
        end

        # Whatever a processor raises costs no other trace, nor does it if it ends the thread.
        def run(segment)
          processed = false
          Thread.handle_interrupt(UNDISTURBED) do
            @deliver.call(self.class.processors? ? through_processors(segment) : [segment])
            processed = true
          end
        rescue Exception => e # rubocop:disable Lint/RescueException
          Log.debug(e)
        ensure
          @drop.call(1) unless processed
        end

        def through_processors(segment)
          Thread.handle_interrupt(DISTURBED) { Datadog::Tracing::Pipeline.process!([segment]) }
        end

        # Processors may be slow for reasons of their own. Without any, there is more to do than one thread can, and the
        # thread that has finished a trace does that itself.
        def overflow(segment)
          self.class.processors? ? lose : run(segment)
        end

        def lose
          @drop.call(1)
          @lost += 1
          Log.later("Traces are being lost: before_flush processors are too slow. More are counted.") if @lost == 1
        end

        def recover
          lost = @lost
          @lost = 0
          Log.later("before_flush processors keep up again; #{lost} traces were lost.")
        end
      end
    end
  end
end
