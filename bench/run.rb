# frozen_string_literal: true

# Runs all measurements, each several times in a process of its own and in turn, and puts ratios of what was measured
# in one process beside what they have to be. Writes all figures to bench/results.json.
#
#   PROCESSES=5 DD_TRACE_RB=/path/to/dd-trace-rb ruby bench/run.rb

require "etc"
require "json"
require_relative "rows"
require_relative "support/instructions"
require_relative "support/scripts"

PROCESSES = Integer(ENV.fetch("PROCESSES", "5"))
SCRIPTS = %w[lowering extras sending objects queue memory latency].freeze
TRACER = ENV["DD_TRACE_RB"] ? %w[tracer] : []

def count
  %w[push_trace send].to_h do |way|
    instructions, allocations = Instructions.count(way)
    [way.to_sym, { instructions:, allocations: }]
  end
end

def machine
  processor = File.read("/proc/cpuinfo")[/model name\s*: (.*)/, 1]
  { ruby: RUBY_DESCRIPTION, processors: Etc.nprocessors, processor: processor }
end

# Once for all that doesn't vary.
counted = count
runs = Array.new(PROCESSES) do |round|
  warn "round #{round + 1} of #{PROCESSES}"
  { **[*SCRIPTS, *TRACER].rotate(round).to_h { |script| [script.to_sym, Scripts.run(script)] }, counted: counted }
end
table = Rows.table(runs)
puts "#{"what".ljust(70)}#{"median (lowest to highest)".ljust(32)}threshold, target"
puts(table.map { |row| Rows.format(row) })
File.write(File.join(__dir__, "results.json"), JSON.pretty_generate(machine:, table:, runs:))
