# frozen_string_literal: true

# Compares the instructions and native allocations a span of lowering with those in instructions.json, or records
# them there. They hold for one version of Ruby on one architecture.

require "json"
require_relative "support/instructions"

RECORD = File.join(__dir__, "instructions.json")
WAYS = %w[push_trace span_new].freeze
TOLERATED = 0.03

here = "#{RUBY_VERSION} #{RUBY_PLATFORM}"
recorded = File.exist?(RECORD) ? JSON.parse(File.read(RECORD)) : {}

if ARGV == ["record"]
  recorded[here] = WAYS.to_h do |way|
    instructions, allocations = Instructions.count(way)
    [way, { "instructions" => instructions.round, "allocations" => allocations.round(2) }]
  end
  File.write(RECORD, "#{JSON.pretty_generate(recorded)}\n")
  puts File.read(RECORD)
  exit
end

unless recorded.key?(here)
  puts "nothing is recorded for Ruby #{here}, only for #{recorded.keys.join(", ")}: nothing to compare with"
  exit
end

bad = WAYS.flat_map do |way|
  recorded[here].fetch(way).zip(Instructions.count(way)).reject do |(what, before), now|
    change = (now - before) / before
    puts "#{way}: #{now.round(2)} #{what} a span, recorded #{before}: #{(change * 100).round(1)} % more"
    change.abs <= TOLERATED
  end
end
# Fewer is a change, too: recording it keeps the guard tight.
abort "more than #{(TOLERATED * 100).round} % off; when that is meant to be, `rake bench:record`" if bad.any?
