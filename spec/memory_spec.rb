# frozen_string_literal: true

require "msgpack"
require_relative "support/corpus"
require_relative "support/hostile"
require_relative "support/oracle"

RSpec.describe "Memory" do
  let(:support) { %w[spans corpus hostile oracle].map { |name| "require '#{File.join(__dir__, "support", name)}'" } }

  def under_stress
    GC.stress = true
    yield
  ensure
    GC.stress = false
  end

  it "is safe under GC.stress" do
    hostile = Support::Hostile.new(1)
    fields = Array.new(5) { hostile.span }
    chunks = nil
    copies = under_stress do
      spans = fields.map { |span| Datadog::NativeExport::Span.new(**span) }
      chunks = spans.each_with_object(Datadog::NativeExport::TraceChunks.new) do |span, all|
        all.begin_chunk << Datadog::NativeExport::Span.new(**span.to_h)
      end
      spans.map(&:to_h)
    end

    expect(copies.map { |copy| copy[:meta] }).to eq(fields.map { |span| Support::Oracle.expected(span)["meta"] })
    Datadog::NativeExport::Testing::Agent.start do |agent|
      Datadog::NativeExport::Exporter.new(agent_url: agent.url).send_trace_chunks(chunks, timeout: 10)
      sent = agent.traces.map { |trace| trace[0]["meta"].except("_dd.sdk.otlp_export", "events") }
      expect(sent).to eq(copies.map { |copy| copy[:meta] })
    end
  end

  it "is safe when the heap is compacted" do
    spans = Support::Corpus.cases.first(20).flat_map(&:spans)
    built = spans.map { |span| Support::Corpus.build(span) }
    before = built.map(&:to_h)
    GC.verify_compaction_references(toward: :empty)

    expect(built.map(&:to_h) == before).to be(true)
  rescue NotImplementedError
    skip "this Ruby can't compact its heap"
  end

  # A process that makes, reads, sends and forgets spans, with errors in between.
  let(:workload) { <<~RUBY }
    #{support.join("\n")}
    Native = Datadog::NativeExport
    def work(exporter, cases, hostile)
      cases.each { |recorded| exporter.export(recorded.chunks) }
      hostile.each do |fields|
        span = Native::Span.new(**fields)
        span.to_h
        [-> { span.set_meta("k", 1) }, -> { span.set_meta_struct("k", [Object.new]) },
         -> { Native::Span.new(**fields, start: 1.5) }, -> { span.add_link(trace_id: 0, span_id: 1) }]
          .each { |wrong| wrong.call rescue nil }
      end
      exporter.flush(timeout: 60)
    end
    generator = Support::Hostile.new(2)
    hostile = Array.new(40) { generator.span }
    cases = Support::Corpus.cases.first(10)
    exporter = Native::Exporter.new(agent_url: ARGV[0])
  RUBY

  it "is not touched where it must not be, says valgrind" do
    valgrind = ENV["PATH"].split(":").map { |folder| "#{folder}/valgrind" }.find { |file| File.executable?(file) }
    raise "valgrind must be at hand in CI" if valgrind.nil? && ENV["CI"]

    skip "valgrind is not at hand" unless valgrind
    Datadog::NativeExport::Testing::Agent.start do |agent|
      # Ruby looks for references on the stack, initialized or not: that is the one thing not to check.
      _, report, status = Open3.capture3(
        valgrind, "--undef-value-errors=no", "--max-stackframe=16777216", "--num-callers=30", RbConfig.ruby, "-I",
        Support::Processes::LIB, "-r", "datadog/native_export", "-e",
        "#{workload} 2.times { work(exporter, cases, hostile) }; exit!(exporter.stats[:spans_dropped])", agent.url
      )

      expect(status.exitstatus).to eq(0), report.lines.last(60).join
      ours = report.split(/^==\d+== $/).grep(/Invalid|Mismatched|overlap/).grep(/datadog_native_export/)
      expect(ours).to be_empty, ours.join
      expect(report).to match(/ERROR SUMMARY: \d+ errors/)
      expect(agent.spans.size).to eq(2 * Support::Corpus.cases.first(10).sum { |recorded| recorded.spans.size })
    end
  end

  it "does not grow with what passes through" do
    Datadog::NativeExport::Testing::Agent.start do |agent|
      output, errors, = run_ruby(<<~RUBY, agent.url)
        #{workload}
        def resident = File.read("/proc/self/statm").split[1].to_i * 4
        measure = lambda do |rounds|
          rounds.times { work(exporter, cases, hostile) }
          GC.start
          resident
        end
        measure.call(30)
        puts measure.call(20), measure.call(60)
      RUBY
      skip "there is no /proc here" if errors.include?("ENOENT")

      warm, later = output.split.map(&:to_i)
      expect(later - warm).to be < 8_192, "#{warm} kB after warm-up, #{later} kB later #{errors}"
    end
  end
end
