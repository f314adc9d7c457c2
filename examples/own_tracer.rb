# frozen_string_literal: true

# A tracer of one's own. Its spans have the instance variables that TraceChunks#push_trace reads: a finished trace is
# exported without creating another Ruby object for each span.
#
#   ruby -Ilib examples/own_tracer.rb

require "datadog/native_export"

class TinySpan
  attr_reader :id, :trace_id, :meta, :trace

  def initialize(name, parent)
    @name = @resource = name
    @service = "examples"
    @id = rand(1...2**64)
    @trace_id = parent ? parent.trace_id : rand(1...2**64)
    @parent_id = parent&.id
    @meta = {}
    @start_time = Time.now
    @trace = parent ? parent.trace : []
    @trace << self
  end

  def finish = @end_time = Time.now
end

class TinyTracer
  def initialize(exporter) = @exporter = exporter

  # Traces the block. The outermost span of a thread exports the whole trace when it ends.
  def trace(name)
    parent = Thread.current[:tiny_span]
    span = Thread.current[:tiny_span] = TinySpan.new(name, parent)
    yield span
  ensure
    Thread.current[:tiny_span] = parent
    span.finish
    export(span.trace) unless parent
  end

  private

  def export(spans)
    chunks = Datadog::NativeExport::TraceChunks.new
    chunks.push_trace(spans)
    @exporter.export(chunks)
  end
end

exporter = Datadog::NativeExport::Exporter.new
tracer = TinyTracer.new(exporter)

tracer.trace("order") do |order|
  order.meta["order.id"] = "7"
  tracer.trace("payment") { |payment| payment.meta["amount"] = "12.50" }
end

exporter.flush(timeout: 5)
puts exporter.stats.slice(:spans_sent, :spans_dropped, :last_error)
