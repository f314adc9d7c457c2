# frozen_string_literal: true

require "datadog/native_export"
require "json"

# What the servers do in specs: for every piece of work, three spans go to the exporter and a line goes into
# the ledger. The agent has to have got what the ledger says.
module Traced
  EXPORTER = Datadog::NativeExport::Exporter.new(**JSON.parse(ENV.fetch("EXPORTER"), symbolize_names: true))
  LEDGER = File.open(ENV.fetch("LEDGER"), "a")
  NAMES = %w[request query render].freeze

  # @param work [String] a name that no other piece of work has
  def self.call(work)
    trace_id = rand(1..(2**64) - 1)
    chunks = Datadog::NativeExport::TraceChunks.new.begin_chunk(capacity: NAMES.size)
    NAMES.each.with_index(1) do |name, id|
      chunks << Datadog::NativeExport::Span.new(
        name:, service: "shop", resource: work, trace_id:, span_id: id, parent_id: id - 1, start: Time.now,
        duration: 1_000_000, meta: { "pid" => Process.pid.to_s, "thread" => Thread.current.inspect }
      )
    end
    EXPORTER.export(chunks) or raise "#{work}: not taken"
    # One write, so that the lines of processes don't mix.
    LEDGER.syswrite("#{Process.pid} #{work}\n")
  end
end
