# frozen_string_literal: true

# The same as sending, against the HTTP transport of the tracer in DD_TRACE_RB. In a process of its own: loading
# the tracer slows down what else it does.

require_relative "../support/sending"
require_relative "../support/tracer"

Agent.start do |agent|
  sending = Sending.new(agent)
  tracer = Tracer.new(agent.port)
  segments = -> { Tracer.segments(Workload.traces) }
  http = ->(traces) { tracer.send_traces(traces) }
  ours = ->(traces) { sending.send(traces) }
  Measuring.report(Measuring.interleave(
                     http_cpu: -> { sending.cpu(segments.call, &http) },
                     http_wall: -> { sending.wall(segments.call, &http) },
                     send_cpu: -> { sending.cpu(&ours) },
                     send_wall: -> { sending.wall(&ours) }
                   ))
end
