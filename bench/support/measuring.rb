# frozen_string_literal: true

require "json"
require "logger"
require_relative "agent"
require_relative "scripts"
require_relative "statistics"
require_relative "workload"

$LOAD_PATH.unshift(ENV.fetch("BENCH_LIB", Scripts::LIB))

# Clocks, and what else the measurements share. Each is a script that runs in a process of its own and prints
# one JSON object.
module Measuring
  ROUNDS = Integer(ENV.fetch("ROUNDS", "20"))

  module_function

  def now(clock) = Process.clock_gettime(clock, :float_microsecond)

  # Microseconds that this thread computes, whatever else the machine does.
  def thread_time(&) = time(Process::CLOCK_THREAD_CPUTIME_ID, &)

  def time(clock)
    started = now(clock)
    yield
    now(clock) - started
  end

  # Ruby objects that the block makes.
  def objects
    before = GC.stat(:total_allocated_objects)
    yield
    GC.stat(:total_allocated_objects) - before
  end

  # Without the garbage collector in the way, nor what it leaves to the allocator: that sorts what was freed when
  # the next large block is asked for, by whomever.
  def undisturbed
    GC.start
    GC.disable
    String.new(capacity: 100_000)
    yield
  ensure
    GC.enable
  end

  # Runs arms in turn, and returns the median of what each returned.
  def interleave(arms) = take_turns(arms).transform_values { |results| Statistics.median(results) }

  # Runs arms in turn, each in a process of its own, and returns all that each returned. In one process they would get
  # what memory another has left them, or has given back to the system. The first round is to warm up.
  def take_turns(arms)
    workers = arms.transform_values { |arm| IO.popen("-", "r+") || work(arm) }
    results = arms.transform_values { [] }
    (ROUNDS + 1).times do |round|
      arms.keys.rotate(round).each do |name|
        result = turn(workers[name])
        results[name] << result if round.positive?
      end
    end
    results
  ensure
    # A worker has the ends of the pipes of those before it, and keeps them open.
    workers&.values&.reverse_each(&:close)
  end

  def turn(worker)
    worker.puts
    JSON.parse(worker.gets || raise("a measurement failed"))
  end

  # What runs in a worker.
  def work(arm)
    $stdout.sync = true
    puts JSON.generate(arm.call) while $stdin.gets
    exit!(true)
  rescue StandardError => e
    warn e.full_message
    exit!(false)
  end

  def lower(traces)
    chunks = Datadog::NativeExport::TraceChunks.new(capacity: traces.size)
    traces.each { |spans| chunks.push_trace(spans) }
    chunks
  end

  # The resident size of this process in KiB.
  def resident = Integer(File.read("/proc/self/status")[/^VmRSS:\s+(\d+)/, 1])

  def report(results) = puts(JSON.generate(results))
end
