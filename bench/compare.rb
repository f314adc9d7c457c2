# frozen_string_literal: true

# Compares the extension of this tree with that of another checkout, say of an older commit.
#
#   ruby bench/compare.rb /path/to/checkout
#
# Times are taken in turns, by processes that have loaded the one extension or the other: PROCESSES=5 times by new
# ones, which have ROUNDS=20 turns each. Exits with 1 if a limit is missed.

require_relative "support/instructions"
require_relative "support/lowering"
require_relative "support/sending"

LIBS = { base: File.expand_path("lib", ARGV.fetch(0)), here: Scripts::LIB }.freeze
PROCESSES = Integer(ENV.fetch("PROCESSES", "5"))

# `figure` takes all that was measured of one extension. The limit is one of the figure here, or of here / base.
Row = Struct.new(:what, :of, :limit, :figure) do
  # Prints what the rounds come to. Returns whether the median keeps to the limit.
  def judge(rounds)
    base, here = %i[base here].map { |side| rounds.map { |round| figure.call(round[side]) } }
    ratio = here.zip(base).map { |one, other| one == other ? 1.0 : one.fdiv(other) }
    well = limit.nil? || limit.cover?(Statistics.median({ here:, ratio: }[of]).round(2))
    spreads = [base, here, ratio].map { |figures| Statistics.spread(figures).ljust(28) }
    puts "#{what.ljust(58)}#{spreads.join}#{bound.ljust(14)}#{"MISSED" unless well}"
    well
  end

  private

  def bound
    return "" unless limit

    "#{limit.begin ? "#{limit.begin} to" : "at most"} #{limit.end}#{" x" if of == :ratio}"
  end
end

def figure(*path) = ->(side) { side.dig(*path) }
def over(part, whole) = ->(side) { side[part] / side[whole] }

ROWS = [
  Row.new("us a span that push_trace holds the GVL", :ratio, ..1.3, figure(:push_trace)),
  Row.new("us of CPU a span, push_trace to the answer", :ratio, ..1.0, figure(:send)),
  Row.new("instructions a span, push_trace", :ratio, nil, figure(:counted, :push_trace, 0)),
  Row.new("instructions a span, push_trace to the answer", :ratio, nil, figure(:counted, :send, 0)),
  Row.new("native allocations a span, push_trace to the answer", :here, ..1, figure(:counted, :send, 1)),
  Row.new("Ruby objects a trace, push_trace to the answer", :here, ..0, figure(:objects_per_trace)),
  Row.new("bytes a queued span: growth of the process / on the wire", :here, ..4, over(:growth, :wire)),
  Row.new("bytes a queued span: the queue's account / the growth", :here, 0.9..1.1, over(:account, :growth)),
  Row.new("a span with one Symbol tag / without", :here, ..1.15, over(:symbol_tag, :push_trace)),
  Row.new("a span with one link / without", :here, ..2, over(:link, :push_trace)),
  Row.new("a span with one event / without", :here, ..2, over(:event, :push_trace)),
  Row.new("a span with one meta_struct entry / without", :here, ..2, over(:meta_struct_entry, :push_trace))
].freeze

# What is timed: a class of bench/support/ and the arguments of its `time`.
TIMED = {
  push_trace: [Lowering, :push_trace], send: [Sending, :send],
  **Workload::EXTRAS.to_h { |extra| [extra, [Lowering, :push_trace, { extra: }]] }
}.freeze

# Microseconds that it takes, in a process that loads the extension when it is first called.
def arm(lib, agent, kind, way, shape = {})
  timed = nil
  lambda do
    $LOAD_PATH.unshift(lib) unless timed
    timed ||= kind.new(agent)
    timed.time(way, **shape)
  end
end

# All times of both extensions.
def times
  Agent.start do |agent|
    arms = LIBS.to_a.product(TIMED.to_a).to_h do |(side, lib), (name, timed)|
      [[side, name], arm(lib, agent, *timed)]
    end
    medians = Measuring.interleave(arms)
    LIBS.to_h { |side, _| [side, TIMED.to_h { |name, _| [name, medians[[side, name]]] }] }
  end
end

# Counts don't vary, and valgrind takes its time.
counted = LIBS.transform_values do |lib|
  %i[push_trace send].to_h { |way| [way, Instructions.count(way.to_s, lib:)] }
end
rounds = Array.new(PROCESSES) do |round|
  warn "round #{round + 1} of #{PROCESSES}"
  timed = times
  LIBS.to_h do |side, lib|
    [side, { **timed[side], **Scripts.run("objects", lib:), **Scripts.run("queue", lib:), counted: counted[side] }]
  end
end

puts "#{"".ljust(58)}#{%w[base here here/base].map { |name| name.ljust(28) }.join}limit"
exit ROWS.map { |row| row.judge(rounds) }.all?
