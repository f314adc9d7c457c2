# frozen_string_literal: true

class ForkStorm
  # The children of a storm: lets so many live at once, waits for each, and for none for ever.
  class Children
    AT_ONCE = 16
    # Seconds, which no child needs even on a busy machine.
    DEADLINE = 60

    attr_reader :fork_times, :hung, :failed, :slowest

    def initialize
      @places = Thread::Queue.new(Array.new(AT_ONCE))
      @born = Thread::Queue.new
      @alive = {}
      @ended = {}
      @fork_times = []
      @slowest = 0
      @hung = @failed = 0
    end

    # Waits until there may be one more.
    def make_room = @places.pop

    # Forks a child that runs the block. May be called in a signal handler, where no lock can be taken.
    def fork(&block)
      before = ForkStorm.now
      pid = Kernel.fork(&block)
      after = ForkStorm.now
      @born << [pid, after, after - before]
    end

    # Until so many have been born and all of them have ended.
    def reap(total)
      until @fork_times.size == total && @alive.empty?
        register(*@born.pop) until @born.empty?
        wait
        @alive.select { |_, born| ForkStorm.now - born > DEADLINE }.each_key { |pid| end_hung(pid) }
        sleep 0.002
      end
    end

    private

    def register(pid, born, took)
      @fork_times << took
      @alive[pid] = born
      bury(pid, *@ended.delete(pid)) if @ended.key?(pid)
    end

    def wait
      while (pid, status = Process.wait2(-1, Process::WNOHANG))
        @ended[pid] = [status, ForkStorm.now]
        bury(pid, *@ended.delete(pid)) if @alive.key?(pid)
      end
    rescue Errno::ECHILD
      # None at the moment.
    end

    def bury(pid, status, at)
      @slowest = [@slowest, at - @alive.delete(pid)].max
      @failed += 1 unless status.success?
      warn "child #{pid}: #{status}" unless status.success?
      @places << nil
    end

    def end_hung(pid)
      @hung += 1
      warn "child #{pid} hangs"
      system("gdb", "-p", pid.to_s, "-batch", "-ex", "thread apply all backtrace", out: :err)
      Process.kill(:KILL, pid)
    end
  end
end
