# frozen_string_literal: true

# Microseconds that a request takes while the agent hangs, or, with the argument `none`, without an exporter. That
# is another process, which has loaded the same: any library that is loaded besides, be it uri, moves Ruby's heap
# about, and makes requests up to 12 % longer or shorter.

require_relative "../support/measuring"
require "datadog/native_export"

REQUESTS = Integer(ENV.fetch("REQUESTS", "20000"))
# Reached on the way, so that exporting to a full queue is measured too.
QUEUED = REQUESTS * 5

# A request does some work and makes a trace of ten spans either way.
def request
  JSON.parse(JSON.generate(Array.new(100) { |i| { "id" => i, "name" => "item #{i}" } }))
  Workload.traces(count: 1)
end

def measure
  times = Array.new(REQUESTS) { Measuring.time(Process::CLOCK_MONOTONIC) { yield request } }
  { p50: Measuring.percentile(times, 0.5), p99: Measuring.percentile(times, 0.99),
    p999: Measuring.percentile(times, 0.999) }
end

if ARGV == ["none"]
  Measuring.report(measure(&:itself))
else
  Agent.start(hangs: true) do |agent|
    exporter = Datadog::NativeExport::Exporter.new(agent_url: agent.url, max_queue_spans: QUEUED,
                                                   logger: Logger.new(nil))
    times = measure { |traces| exporter.export(Measuring.lower(traces)) }
    stats = exporter.stats
    raise "not all was exported" unless stats[:spans_exported] == REQUESTS * 10
    raise "the queue did not fill up, or the agent answered" if stats[:dropped][:queue_full].zero? ||
                                                                stats[:spans_sent].positive?

    Measuring.report(times)
    $stdout.flush
    exit!(true)
  end
end
