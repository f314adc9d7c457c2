# frozen_string_literal: true

require_relative "../support/corpus"
require_relative "../support/hostile"
require_relative "../support/oracle"

# In processes of their own: under GC.stress every object that is made costs a walk over the heap, and this one's is
# large.
RSpec.describe "Under GC.stress" do
  include_context "with an agent"

  support = %w[corpus hostile oracle span_data spans tracer_span].map do |name|
    "require #{File.expand_path("../support/#{name}", __dir__).inspect}"
  end
  let(:script) { <<~RUBY }
    #{support.join("\n")}
    def under_stress
      GC.stress = true
      yield
    ensure
      GC.stress = false
    end
    def send(chunks)
      response = Datadog::NativeExport::Exporter.new(agent_url: ARGV[0]).send_trace_chunks(chunks, timeout: 30)
      abort response.error.message unless response.ok?
    end
  RUBY

  def run_well(body)
    output, errors, status = run_ruby("#{script}\n#{body}", agent.url)
    expect([errors, status.exitstatus]).to eq(["", 0])
    output
  end

  it "spans are built, read and sent as otherwise" do
    output = run_well(<<~RUBY)
      hostile = Support::Hostile.new(1)
      fields = Array.new(5) { hostile.span }
      chunks = Datadog::NativeExport::TraceChunks.new
      read = under_stress do
        fields.map do |all|
          span = Datadog::NativeExport::Span.new(**all)
          chunks.begin_chunk << Datadog::NativeExport::Span.new(**span.to_h)
          span.to_h[:meta]
        end
      end
      send(chunks)
      print read == fields.map { |span| Support::Oracle.expected(span)["meta"] }
    RUBY

    hostile = Support::Hostile.new(1)
    expected = Array.new(5) { Support::Oracle.expected(hostile.span)["meta"] }
    expect(output).to eq("true")
    expect(agent.spans.map { |span| tags(span).except("events") }).to eq(expected)
  end

  it "a tracer's spans are lowered as otherwise" do
    run_well(<<~RUBY)
      traces = Support::Corpus.cases.first(15).map do |recorded|
        recorded.spans.map { |span| Support::TracerSpan.recorded(span) }
      end
      stressed, plain = Array.new(2) { Datadog::NativeExport::TraceChunks.new }
      under_stress { traces.each { |spans| stressed.push_trace(spans) } }
      traces.each { |spans| plain.push_trace(spans) }
      send(stressed)
      send(plain)
    RUBY

    traces = agent.traces
    expect(traces.size).to eq(30)
    expect(traces.first(15) == traces.last(15)).to be(true)
  end

  it "OpenTelemetry's spans are lowered as otherwise" do
    run_well(<<~RUBY)
      otel = Support::SpanData
      spans = Array.new(10) do |i|
        otel.build(
          span_id: otel.id(i + 1), trace_id: otel.id(i / 3 + 1, 16), attributes: { "a\#{i}" => [i, "é\#{i}"], "t" => :s },
          links: [otel.link({ "l" => [1.5] }, tracestate: { "x" => i.to_s })],
          events: [otel.exception("E\#{i}", "m".encode("UTF-16LE"))], status: otel.status(:error, "no"),
          resource: otel.resource("service.name" => "s\#{i % 2}", "n" => i)
        )
      end
      stressed, plain, otlp = Array.new(3) { Datadog::NativeExport::TraceChunks.new }
      under_stress do
        stressed.push_span_data(spans)
        otlp.push_span_data(spans, otlp: true)
      end
      GC.compact
      plain.push_span_data(spans)
      send(stressed)
      send(plain)
      abort unless otlp.span_count == 10
    RUBY

    traces = agent.traces
    expect(traces.map(&:size)).to eq([3, 3, 3, 1] * 2)
    expect(traces.first(4) == traces.last(4)).to be(true)
  end
end
