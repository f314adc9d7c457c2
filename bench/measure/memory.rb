# frozen_string_literal: true

# The resident MiB of a process that exports as fast as the agent answers, and by how much it grows after a fifth.

require_relative "../support/measuring"
require "datadog/native_export"

MOMENTS = 20
FLUSHES = Integer(ENV.fetch("FLUSHES", "1000")) / MOMENTS

Agent.start do |agent|
  exporter = Datadog::NativeExport::Exporter.new(agent_url: agent.url)
  traces = Workload.traces
  resident = Array.new(MOMENTS) do
    FLUSHES.times do
      exporter.export(Measuring.lower(traces))
      exporter.flush(timeout: 30)
    end
    agent.check(FLUSHES * 1_000)
    Measuring.resident / 1024.0
  end
  Measuring.report(resident: resident, growth: resident.last - resident[(MOMENTS / 5) - 1])
end
