# frozen_string_literal: true

# Ruby objects that it takes to send, a flush and a trace of ten spans.

require_relative "../support/sending"

Agent.start do |agent|
  sending = Sending.new(agent)
  # The first flush of a process makes a few objects of its own.
  _, few, many = [10, 10, 110].map { |count| sending.objects(count) }
  Measuring.report(objects_per_flush: few, objects_per_trace: (many - few) / 100.0)
end
