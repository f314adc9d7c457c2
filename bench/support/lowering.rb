# frozen_string_literal: true

require_relative "measuring"
require "datadog/native_export"
require "msgpack"
require_relative "baseline"

# Ways to lower spans. Each takes traces and returns what is measured, and what finds out afterwards whether all
# of the spans were lowered.
class Lowering
  def initialize(agent)
    @agent = agent
    @exporter = Datadog::NativeExport::Exporter.new(agent_url: agent.url)
  end

  def push_trace(traces)
    chunks = nil
    [-> { chunks = Measuring.lower(traces) }, -> { arrive(traces, chunks) }]
  end

  def naive(traces)
    [-> { traces.each { |spans| Baseline.naive(spans) } }, -> { compare(traces, Baseline.take_naive) }]
  end

  def floor(traces)
    bytes = 0
    [-> { traces.each { |spans| bytes += Baseline.floor(spans) } }, -> { compare(traces, bytes) }]
  end

  # Without what a tracer's own serializer adds: the Hashes are there before.
  def msgpack(traces)
    hashes = traces.map { |spans| spans.map(&:to_wire) }
    packed = nil
    [-> { packed = MessagePack.pack(hashes) }, -> { raise "lost" unless MessagePack.unpack(packed) == hashes }]
  end

  def span_new(traces) = one_by_one(traces, Datadog::NativeExport::Span) { |built| move(traces, built) }

  def high_level_new(traces) = one_by_one(traces, Baseline::Span) { |built| compare_built(traces, built) }

  def tags(traces) = tag_by_tag(traces, Datadog::NativeExport::Span) { |built| move(traces, built) }

  def high_level_tags(traces) = tag_by_tag(traces, Baseline::Span) { |built| compare_built(traces, built) }

  # Microseconds a span that one of these takes.
  def time(way, **shape)
    traces = Workload.traces(**shape)
    work, check = public_send(way, traces)
    time = Measuring.undisturbed { Measuring.thread_time(&work) }
    check.call
    time / traces.sum(&:size)
  end

  private

  def one_by_one(traces, kind)
    keywords = traces.map { |spans| spans.map(&:to_keywords) }
    built = nil
    [-> { built = keywords.map { |spans| spans.map { |span| kind.new(**span) } } }, -> { yield built }]
  end

  def tag_by_tag(traces, kind)
    keywords = traces.map { |spans| spans.map(&:to_keywords) }
    built = keywords.map { |spans| spans.map { |span| kind.new(**span, meta: {}, metrics: {}) } }
    pairs = built.flatten.zip(keywords.flatten)
    fill = lambda do
      pairs.each do |span, tags|
        tags[:meta].each { |key, value| span.set_meta(key, value) }
        tags[:metrics].each { |key, value| span.set_metric(key, value) }
      end
    end
    [fill, -> { yield built }]
  end

  def move(traces, built)
    chunks = Datadog::NativeExport::TraceChunks.new
    built.each { |spans| spans.each_with_object(chunks.begin_chunk) { |span, chunk| chunk << span } }
    arrive(traces, chunks)
  end

  def arrive(traces, chunks)
    @exporter.export(chunks)
    @exporter.flush(timeout: 30)
    bytes = @agent.check(traces.sum(&:size))
    raise "#{bytes} bytes can't be all of the text" if bytes < traces.flatten.sum(&:text_bytes)
  end

  def compare_built(traces, built) = compare(traces, built.flatten.sum(&:text_bytes))

  def compare(traces, bytes)
    expected = traces.flatten.sum(&:text_bytes)
    raise "#{bytes} bytes of text were lowered, not #{expected}" unless bytes == expected
  end
end
