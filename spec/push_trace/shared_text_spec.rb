# frozen_string_literal: true

require "objspace"

# Text is known by the address of its String from one trace of a list to the next.
RSpec.describe Datadog::NativeExport::TraceChunks, "#push_trace and text that spans share" do
  subject(:chunks) { described_class.new }

  it "finds the same text wherever the garbage collector has moved it" do
    spans = Array.new(50) { |i| tracer_span(id: i + 1, meta: { "key" => -"constant", "k#{i}" => "v#{i}" }) }
    before = deliver(push_traces(spans))
    GC.compact

    expect(deliver(push_traces(spans)).traces == before.traces).to be(true)
  rescue NotImplementedError
    skip "this Ruby can't compact its heap"
  end

  # Those made by a literal are no objects, those made of text are.
  it "tells Symbols that repeat from each other, and from Strings of the same text" do
    symbols = %i[a b c d e f g h i j k l m n o p q r s t] + Array.new(600) { |i| :"symbol #{i}" }
    meta = ->(symbol) { { "value" => symbol, symbol => "key", symbol.name => "String" } }
    spans = symbols.each_with_index.map { |symbol, i| tracer_span(id: i + 1, name: symbol, meta: meta.call(symbol)) }
    50.times { push_traces(spans.first(100)) }

    expect(deliver(push_traces(spans)).spans.map { |span| [span["name"], tags(span)] })
      .to eq(symbols.map { |symbol| [symbol.name, { "value" => symbol.name, symbol.name => "String" }] })
  end

  # In a process whose heap is quickly collected.
  it "takes no String for one that was there before it" do
    Datadog::NativeExport::Testing::Agent.start do |agent|
      _, errors, status = run_ruby(<<~RUBY, agent.url)
        require #{File.expand_path("../support/tracer_span", __dir__).inspect}
        chunks = Datadog::NativeExport::TraceChunks.new
        100.times do |i|
          meta = { "key \#{i}".freeze => "value \#{i}".freeze, "constant".dup.freeze => i.to_s.freeze }
          chunks.push_trace([Support::TracerSpan.build(id: i + 1, meta:)])
          meta = nil
          (i % 10).zero? && GC.respond_to?(:compact) ? GC.compact : GC.start
        end
        exit Datadog::NativeExport::Exporter.new(agent_url: ARGV[0]).send_trace_chunks(chunks, timeout: 30).ok?
      RUBY

      expect([errors, status.exitstatus]).to eq(["", 0])
      expect(agent.spans.map { |span| tags(span) })
        .to eq(Array.new(100) { |i| { "key #{i}" => "value #{i}", "constant" => i.to_s } })
    end
  end

  it "keeps text once that traces share, also after one that failed" do
    name = ("shared " * 1_000).freeze
    traces = Array.new(20) { |i| [tracer_span(id: i + 1, name:, resource: name, meta: { "key" => name })] }
    failing = [tracer_span(name:, service: "not sent"), tracer_span(id: "none")]
    [*traces.first(10), failing, *traces.last(10)].each { |spans| chunks.push_trace(spans) }

    expect(ObjectSpace.memsize_of(chunks)).to be < 10 * name.bytesize
    expect(deliver(chunks).spans.map { |span| span.values_at("span_id", "name", "service") })
      .to eq(Array.new(20) { |i| [i + 1, name, "shop"] })
  end
end
