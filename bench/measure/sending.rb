# frozen_string_literal: true

# Microseconds of CPU a span of the whole process, from push_trace to the agent's answer, against nothing but
# encoding the same to MessagePack in Ruby.

require_relative "../support/sending"
require "msgpack"

def encode
  hashes = Workload.traces.map { |spans| spans.map(&:to_wire) }
  packed = nil
  time = Measuring.undisturbed { Measuring.thread_time { packed = MessagePack.pack(hashes) } }
  raise "lost" unless MessagePack.unpack(packed) == hashes

  time / Sending::SPANS
end

Agent.start do |agent|
  sending = Sending.new(agent)
  times = Measuring.interleave(
    msgpack: -> { encode },
    send: -> { sending.cpu { |traces| sending.send(traces) } },
    send_from_threads: -> { sending.cpu { |traces| sending.send_from_threads(traces) } }
  )
  # The first flush of a process makes a few objects of its own.
  _, few, many = [10, 10, 110].map { |count| sending.objects(count) }
  Measuring.report(**times, objects_per_flush: few, objects_per_trace: (many - few) / 100.0)
end
