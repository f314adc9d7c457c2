# frozen_string_literal: true

# What waits in the queue: bytes a span over those on the wire, by the exporter's own account and by the growth of
# the process; and microseconds that export takes, by the number of spans handed over.

require_relative "../support/measuring"
require "datadog/native_export"

SPANS = [10, 100, 1_000, 10_000].freeze
HELD = 50_000

def exporter(agent, **options)
  Datadog::NativeExport::Exporter.new(agent_url: agent.url, flush_interval: 3_600, logger: Logger.new(nil), **options)
end

# The exporter's account, for as much as is not sent at once.
def queued_over_wire(agent)
  exporter = exporter(agent)
  chunks = Measuring.lower(Workload.traces(count: 50))
  exporter.export(chunks)
  queued, spans = exporter.stats.values_at(:bytes_queued, :spans_queued)
  raise "#{spans} spans wait, not 500" unless spans == 500

  exporter.flush(timeout: 30)
  { queued_per_span: queued / 500.0, wire_per_span: agent.check(500) / 500.0 }
end

# That of the process, with the same Ruby objects over and over.
def resident_per_span(agent)
  exporter = exporter(agent, max_queue_bytes: 1 << 30)
  traces = Workload.traces
  GC.start
  before = Measuring.resident
  (HELD / 1_000).times { exporter.export(Measuring.lower(traces)) }
  raise "nothing is held" unless exporter.stats[:spans_exported] == HELD && exporter.stats[:spans_dropped].zero?

  (Measuring.resident - before) * 1024.0 / HELD
end

def export_times(agent)
  exporter = exporter(agent)
  measure = lambda do |spans|
    chunks = Measuring.lower(Workload.traces(count: spans / 10))
    time = Measuring.undisturbed { Measuring.thread_time { exporter.export(chunks) } }
    exporter.flush(timeout: 30)
    agent.check(spans)
    time
  end
  Measuring.interleave(SPANS.to_h { |spans| ["export#{spans}", -> { measure.call(spans) }] })
end

# First, while there is no freed memory to be used again.
resident = Agent.start(hangs: true) { |agent| resident_per_span(agent) }
sizes = Agent.start { |agent| { **queued_over_wire(agent), **export_times(agent) } }
Measuring.report(**sizes, resident_per_span: resident)
# What the agent that hangs got is not worth waiting for.
$stdout.flush
exit!(true)
