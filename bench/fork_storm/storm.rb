# frozen_string_literal: true

class ForkStorm
  # Forks from the main thread, from another one and in a signal handler, while threads export all along and
  # the main thread is inside of `flush` or `send_trace_chunks`.
  class Storm
    THREADS = 3
    # What a child and its child export together.
    SPANS = 4
    PARENT = 1
    # Seconds that a process waits for the agent at its end: enough for one that answers, and little for one
    # that does not.
    PATIENCE = { "healthy" => 50, "hung" => 0.2, "dead" => 0.2 }.freeze

    def initialize(state, directory, forks)
      @forks = forks
      @state = state
      @patience = PATIENCE.fetch(state)
      @agent = Agent::Handle.new(state, directory)
      @unix, @tcp = @agent.urls.map do |url|
        Datadog::NativeExport::Exporter.new(agent_url: url, agent_timeout: 40, shutdown_timeout: @patience,
                                            max_queue_spans: 20_000, logger: SILENT)
      end
      @children = Children.new
      @for_main = Thread::Queue.new
      @for_trap = Thread::Queue.new
      @lock = Mutex.new
      @exported = 0
    end

    # Whether all is well.
    def run
      parent = Process.pid
      # Signals wait until the main thread looks, so that some become one; hence all that is there. What waits at
      # a fork waits in the child, too.
      trap("USR1") { fork_one(@for_trap.pop) until Process.pid != parent || @for_trap.empty? }
      started = ForkStorm.now
      reaper = Thread.new { @children.reap(@forks) }
      threads = Array.new(THREADS) { Thread.new { export until @over } }
      Thread.new { assign }
      wait_inside_the_gem while reaper.alive?
      @over = true
      [reaper, *threads].each(&:join)
      flushed = [@unix, @tcp].map { |exporter| exporter.flush(timeout: @patience) }.all?
      report(ForkStorm.now - started)
      judge(flushed)
    end

    private

    # Who forks the next child: the main thread, this one, or the handler of a signal.
    def assign
      @forks.times do |child|
        @children.make_room
        case child % 3
        when 0 then @for_main << child
        when 1 then fork_one(child)
        else
          @for_trap << child
          Process.kill(:USR1, Process.pid)
        end
      end
    end

    def wait_inside_the_gem
      fork_one(@for_main.pop) until @for_main.empty?
      @unix.flush(timeout: 0.02)
      @tcp.send_trace_chunks(next_chunks, timeout: 0.02)
    end

    def export
      @unix.export(next_chunks)
      @tcp.export(next_chunks)
      sleep 0.004
    end

    def next_chunks
      first = @lock.synchronize { (@exported += SPANS) - SPANS + 1 }
      ForkStorm.chunks(PARENT, first, SPANS)
    end

    def fork_one(child)
      @children.fork { live(PARENT + 1 + child, child / 3 % 5) }
    end

    # What a child does.
    def live(origin, way)
      half = SPANS / 2
      case way
      when 0 then @unix.export(ForkStorm.chunks(origin, 1, SPANS))
      when 1
        @unix.export(ForkStorm.chunks(origin, 1, SPANS))
        leave(@unix.flush(timeout: @patience))
      when 2
        @unix.export(ForkStorm.chunks(origin, 1, half))
        @tcp.export(ForkStorm.chunks(origin, 1 + half, half))
      when 3
        @unix.export(ForkStorm.chunks(origin, 1, half))
        grandchild = Kernel.fork { @unix.export(ForkStorm.chunks(origin, 1 + half, half)) }
        exit(Process.wait2(grandchild)[1].success?)
      else
        leave(@tcp.send_trace_chunks(ForkStorm.chunks(origin, 1, SPANS), timeout: @patience).ok?)
      end
    end

    # Without what happens at exit.
    def leave(answered)
      exit!(answered || @state != "healthy")
    end

    def report(took)
      times = @children.fork_times
      puts format("%<state>-8s %<forks>d forks in %<took>.0f s, the parent exported %<spans>d spans meanwhile; fork: " \
                  "median %<median>.1f ms, p99 %<p99>.1f ms, max %<max>.1f ms; slowest child %<slowest>.2f s",
                  state: @state, forks: times.size, took: took, spans: @exported,
                  median: ForkStorm.percentile(times, 50) * 1_000, p99: ForkStorm.percentile(times, 99) * 1_000,
                  max: times.max * 1_000, slowest: @children.slowest)
    end

    def judge(flushed)
      claims = { "no child hangs (#{@children.hung} do)" => @children.hung.zero?,
                 "all children end well (#{@children.failed} don't)" => @children.failed.zero? }
      claims.merge!(deliveries(flushed)) if @state == "healthy"
      ForkStorm.judge(claims)
    end

    def deliveries(flushed)
      spans, foreign = @agent.result
      wrong = { PARENT => @exported }.merge((PARENT + 1..PARENT + @forks).to_h { |origin| [origin, SPANS] })
                                     .reject { |origin, exported| spans[origin] == [exported, exported, 0] }
      wrong.first(10).each { |origin, exported| warn "#{origin}: #{exported} exported, got #{spans[origin].inspect}" }
      { "the parent's last flush is answered" => flushed,
        "every span of every process arrived once (#{wrong.size} processes differ)" => wrong.empty?,
        "each was sent by the process that made it (#{foreign} were not)" => foreign.zero? }
    end
  end
end
