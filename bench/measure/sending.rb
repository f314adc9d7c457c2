# frozen_string_literal: true

# Microseconds of CPU a span of the whole process, from push_trace to the agent's answer, against nothing but
# encoding the same to MessagePack in Ruby.

require_relative "../support/sending"

Agent.start do |agent|
  sending = Sending.new(agent)
  Measuring.report(Measuring.interleave(Sending::WAYS.to_h { |way| [way, -> { sending.time(way) }] }))
end
