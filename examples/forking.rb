# frozen_string_literal: true

# One exporter in a process and its forked children. Nothing has to be called before or after a fork, and each process
# sends at exit what it has queued.
#
#   ruby -Ilib examples/forking.rb

require "datadog/native_export"

exporter = Datadog::NativeExport::Exporter.new

export = lambda do |name|
  span = Datadog::NativeExport::Span.new(name:, trace_id: rand(1...2**64), span_id: rand(1...2**64),
                                         start: Time.now, duration: 1_000_000)
  exporter.export(Datadog::NativeExport::TraceChunks.new.begin_chunk << span)
end

export.call("parent before the fork") # sent by the parent alone
pids = Array.new(3) do |index|
  fork do
    export.call("child #{index}")
    puts "child #{index} has exported #{exporter.stats[:spans_exported]}" # the parent's spans don't count here
  end
end
pids.each { |pid| Process.wait(pid) }
export.call("parent after the fork")
puts "the parent has exported #{exporter.stats[:spans_exported]}"
