# frozen_string_literal: true

# Microseconds a span that lowering holds the GVL, against other ways.

require_relative "../support/lowering"

Agent.start do |agent|
  lowering = Lowering.new(agent)
  Measuring.report(Measuring.interleave(Lowering::WAYS.to_h { |way| [way, -> { lowering.time(way) }] }))
end
