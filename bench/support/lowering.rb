# frozen_string_literal: true

require_relative "measuring"
require "msgpack"

autoload :Baseline, File.expand_path("baseline", __dir__)

# Ways to lower spans. Each takes traces and returns what is measured, and what finds out afterwards whether all
# of the spans were lowered.
class Lowering
  WAYS = %i[push_trace naive minimum msgpack].freeze

  def initialize(agent)
    # Only now, when it is known whose extension it is.
    require "datadog/native_export"
    @agent = agent
    @exporter = Datadog::NativeExport::Exporter.new(agent_url: agent.url)
  end

  # Microseconds a span that one of these takes.
  def time(way, **shape)
    traces = Workload.traces(**shape)
    work, check = public_send(way, traces)
    time = Measuring.undisturbed { Measuring.thread_time(&work) }
    check.call
    time / traces.sum(&:size)
  end

  def push_trace(traces)
    chunks = nil
    [-> { chunks = Measuring.lower(traces) }, -> { arrive(traces, chunks) }]
  end

  def naive(traces)
    [-> { traces.each { |spans| Baseline.naive(spans) } }, -> { compare(traces, Baseline.take_naive) }]
  end

  def minimum(traces)
    bytes = 0
    [-> { traces.each { |spans| bytes += Baseline.minimum(spans) } }, -> { compare(traces, bytes) }]
  end

  # Without what a tracer's own serializer adds: the Hashes are there before.
  def msgpack(traces)
    hashes = traces.map { |spans| spans.map(&:to_wire) }
    packed = nil
    [-> { packed = MessagePack.pack(hashes) }, -> { raise "lost" unless MessagePack.unpack(packed) == hashes }]
  end

  private

  def arrive(traces, chunks)
    @exporter.export(chunks)
    @exporter.flush(timeout: 30)
    bytes = @agent.check(traces.sum(&:size))
    raise "#{bytes} bytes can't be all of the text" if bytes < traces.flatten.sum(&:text_bytes)
    raise "values were left out" unless @exporter.stats[:values_left_out].zero?
  end

  def compare(traces, bytes)
    expected = traces.flatten.sum(&:text_bytes)
    raise "#{bytes} bytes of text were lowered, not #{expected}" unless bytes == expected
  end
end
