# frozen_string_literal: true

# Bytes that a queued span takes: by the growth of the process, by the exporters' account, and on the wire. Many
# exporters hold the spans, since one begins to send when it has a MiB of them. Ruby's objects are the same over and
# over.

require_relative "../support/measuring"
require "datadog/native_export"

EXPORTERS = Integer(ENV.fetch("EXPORTERS", "40"))

def export(exporters, traces) = exporters.each { |exporter| exporter.export(Measuring.lower(traces)) }

def flush(exporters) = exporters.each { |exporter| exporter.flush(timeout: 30) }

Agent.start do |agent|
  exporters = Array.new(EXPORTERS) do
    Datadog::NativeExport::Exporter.new(agent_url: agent.url, flush_interval: 3_600, logger: Logger.new(nil))
  end
  traces = Workload.traces(count: 100)
  spans = EXPORTERS * 1_000
  # What exporters themselves take is there before.
  export(exporters, traces.first(1))
  flush(exporters)
  agent.check(EXPORTERS * 10)

  before = Measuring.resident
  Measuring.undisturbed { export(exporters, traces) }
  growth = (Measuring.resident - before) * 1024
  stats = exporters.map(&:stats)
  raise "not all spans wait" unless stats.sum { |each| each[:spans_queued] } == spans

  flush(exporters)
  Measuring.report({ growth:, account: stats.sum { |each| each[:bytes_queued] }, wire: agent.check(spans) }
    .transform_values { |bytes| bytes.fdiv(spans) })
end
