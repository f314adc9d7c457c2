# frozen_string_literal: true

require_relative "../support/corpus"
require_relative "../support/hostile"
require_relative "../support/oracle"

# In processes of their own: under GC.stress every object that is made costs a walk over the heap, and this one's is
# large.
RSpec.describe "Under GC.stress" do
  include_context "with an agent"

  support = %w[corpus hostile oracle spans tracer_span].map do |name|
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
end
