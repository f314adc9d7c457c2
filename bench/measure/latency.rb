# frozen_string_literal: true

# Microseconds that a request takes while the agent hangs, and without an exporter, which is measured twice to know the
# noise. The three processes have loaded the same and take turns: how fast a machine is changes within seconds, and any
# library that is loaded besides, be it uri, moves Ruby's heap about and makes requests up to 12 % longer or shorter.

require_relative "../support/measuring"
require "datadog/native_export"

REQUESTS = Integer(ENV.fetch("REQUESTS", "40000"))
TURNS = Measuring::ROUNDS + 1
A_TURN = REQUESTS.fdiv(Measuring::ROUNDS).ceil
# Reached on the way, so that exporting to a full queue is measured too.
QUEUED = A_TURN * TURNS * 5

# A request does some work and makes a trace of ten spans either way.
def request
  JSON.parse(JSON.generate(Array.new(100) { |i| { "id" => i, "name" => "item #{i}" } }))
  Workload.traces(count: 1)
end

def turn
  Array.new(A_TURN) { Measuring.time(Process::CLOCK_MONOTONIC) { yield request } }
end

def alone = -> { turn(&:itself) }

def hanging(url)
  exporter = nil
  turns = 0
  lambda do
    exporter ||= Datadog::NativeExport::Exporter.new(agent_url: url, max_queue_spans: QUEUED, logger: Logger.new(nil))
    times = turn { |traces| exporter.export(Measuring.lower(traces)) }
    check(exporter.stats, turns += 1)
    times
  end
end

def check(stats, turns)
  raise "not all was exported" unless stats[:spans_exported] == turns * A_TURN * 10
  raise "the agent answered" if stats[:spans_sent].positive?
  raise "the queue did not fill up" if turns == TURNS && stats[:dropped][:queue_full].zero?
end

Agent.start(hangs: true) do |agent|
  times = Measuring.take_turns(hanging: hanging(agent.url), alone: alone, alone_again: alone)
  Measuring.report(times.to_h do |arm, turns|
    all = turns.flatten
    [arm, { p50: 0.5, p99: 0.99, p999: 0.999 }.transform_values { |share| Statistics.percentile(all, share) }]
  end)
end
