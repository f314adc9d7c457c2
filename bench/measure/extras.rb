# frozen_string_literal: true

# Microseconds a span that push_trace takes with what few spans have, in each span, against plain ones.

require_relative "../support/lowering"

Agent.start do |agent|
  lowering = Lowering.new(agent)
  Measuring.report(Measuring.interleave([nil, *Workload::EXTRAS].to_h do |extra|
    [extra || :plain, -> { lowering.time(:push_trace, extra:) }]
  end))
end
