# frozen_string_literal: true

# Microseconds a span that lowering takes, by spans a trace and by tags a span.

require_relative "../support/lowering"

SPANS = [1, 10, 100, 1_000].freeze
TAGS = [0, 1, 10, 50, 200].freeze

Agent.start do |agent|
  lowering = Lowering.new(agent)
  time = ->(**shape) { -> { lowering.time(:push_trace, **shape) } }
  arms = SPANS.to_h { |spans| ["spans#{spans}", time.call(count: 1_000 / spans, spans: spans)] }
  TAGS.each { |tags| arms["tags#{tags}"] = time.call(count: 20, tags: tags) }
  Measuring.report(Measuring.interleave(arms))
end
