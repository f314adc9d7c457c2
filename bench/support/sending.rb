# frozen_string_literal: true

require_relative "measuring"
require "msgpack"

# Sends flushes of 1,000 spans, and finds out what they cost and whether they arrived.
class Sending
  SPANS = 1_000
  WAYS = %i[msgpack send].freeze

  def initialize(agent)
    # Only now, when it is known whose extension it is.
    require "datadog/native_export"
    @agent = agent
    @exporter = Datadog::NativeExport::Exporter.new(agent_url: agent.url)
  end

  # Microseconds of CPU a span that one of these takes.
  def time(way) = way == :msgpack ? msgpack : cpu { |traces| send(traces) }

  def msgpack
    hashes = Workload.traces.map { |spans| spans.map(&:to_wire) }
    packed = nil
    time = Measuring.undisturbed { Measuring.thread_time { packed = MessagePack.pack(hashes) } }
    raise "lost" unless MessagePack.unpack(packed) == hashes

    time / SPANS
  end

  def send(traces)
    @exporter.export(Measuring.lower(traces))
    @exporter.flush(timeout: 30)
  end

  # Microseconds of CPU a span that the block takes to send traces, that of all threads of the process included,
  # even when it comes after the answer.
  def cpu(traces = Workload.traces)
    before = others
    own = Measuring.undisturbed { Measuring.thread_time { yield traces } }
    @agent.check(SPANS)
    (own + others - before) / SPANS
  end

  # Microseconds a span until the answer is there.
  def wall(traces = Workload.traces)
    time = Measuring.undisturbed { Measuring.time(Process::CLOCK_MONOTONIC) { yield traces } }
    @agent.check(SPANS)
    time / SPANS
  end

  # Ruby objects to send so many traces.
  def objects(count)
    traces = Workload.traces(count: count)
    made = Measuring.undisturbed { Measuring.objects { send(traces) } }
    @agent.check(count * 10)
    made
  end

  private

  # Microseconds that the other threads have computed.
  def others = Measuring.now(Process::CLOCK_PROCESS_CPUTIME_ID) - Measuring.now(Process::CLOCK_THREAD_CPUTIME_ID)
end
