# frozen_string_literal: true

# Microseconds a span that lowering holds the GVL, against other ways.

require_relative "../support/lowering"

ARMS = %i[push_trace naive floor msgpack span_new high_level_new tags high_level_tags].freeze

Agent.start do |agent|
  lowering = Lowering.new(agent)
  Measuring.report(Measuring.interleave(ARMS.to_h { |arm| [arm, -> { lowering.time(arm) }] }))
end
