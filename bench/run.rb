# frozen_string_literal: true

# Runs all measurements, each several times in a process of its own and in turn, and puts ratios of what was measured
# in one process beside what they have to be. Writes all figures to bench/results.json.
#
#   PROCESSES=5 DD_TRACE_RB=/path/to/dd-trace-rb ruby bench/run.rb

require "etc"
require "json"
require "open3"
require "rbconfig"
require "tempfile"
require_relative "rows"
require_relative "support/instructions"

PROCESSES = Integer(ENV.fetch("PROCESSES", "5"))
SCRIPTS = [
  "lowering", "shapes", "sending", "queueing", "loading", "memory", "latency", ("tracer" if ENV["DD_TRACE_RB"])
].compact.freeze
LIBRARY = File.expand_path("../lib/datadog_native_export/datadog_native_export.#{RbConfig::CONFIG["DLEXT"]}", __dir__)

# What one measurement printed. One that fails ends all.
def measure(script)
  path = File.join(__dir__, "measure", "#{script}.rb")
  output, status = Open3.capture2(RbConfig.ruby, path)
  abort "#{script} failed" unless status.success?

  JSON.parse(output, symbolize_names: true)
end

def count
  %w[push_trace span_new send].to_h do |way|
    instructions, allocations = Instructions.count(way)
    [way.to_sym, { instructions:, allocations: }]
  end
end

def machine
  processor = File.read("/proc/cpuinfo")[/model name\s*: (.*)/, 1]
  { ruby: RUBY_DESCRIPTION, processors: Etc.nprocessors, processor: processor }
end

# Without the symbols that packagers leave out.
def stripped_bytes
  Tempfile.create("stripped") do |file|
    system("strip", "-o", file.path, LIBRARY, exception: true)
    File.size(file.path)
  end
end

# Once for all that doesn't vary.
counted = count
runs = Array.new(PROCESSES) do |round|
  warn "round #{round + 1} of #{PROCESSES}"
  figures = SCRIPTS.rotate(round).to_h { |script| [script.to_sym, measure(script)] }
  { **figures, counted: counted, library: { stripped: stripped_bytes } }
end
table = Rows.table(runs)
puts "#{"what".ljust(70)}#{"median (lowest to highest)".rjust(32)}  at least, aim"
puts(table.map { |row| Rows.format(row) })
File.write(File.join(__dir__, "results.json"), JSON.pretty_generate(machine:, table:, runs:))
