# frozen_string_literal: true

require_relative "../support/corpus"
require_relative "../support/servers"

# The process of {Support::Workload}.
RSpec.describe "Native memory" do
  include_context "with an agent"

  let(:script) { <<~RUBY }
    require #{File.expand_path("../support/workload", __dir__).inspect}
    EXPORTER = Datadog::NativeExport::Exporter.new(agent_url: ARGV[0])
    WORKLOAD = Support::Workload.new(EXPORTER)
  RUBY

  it "is not touched where it must not be, says valgrind" do
    valgrind = Support::Servers.program("valgrind")
    raise "valgrind must be at hand in CI" if valgrind.nil? && ENV["CI"]

    skip "valgrind is not at hand" unless valgrind
    # Ruby looks for references on the stack, initialized or not: that is the one thing not to check.
    output, report, status = capture(
      valgrind, "--undef-value-errors=no", "--max-stackframe=16777216", "--num-callers=30", RbConfig.ruby, "-I",
      Support::Processes::LIB, "-r", "datadog/native_export", "-e",
      "#{script} 2.times { WORKLOAD.call }; $stdout.syswrite(WORKLOAD.spans)
       exit!(EXPORTER.stats[:spans_dropped])", agent.url
    )

    expect(status.exitstatus).to eq(0), report.lines.last(60).join
    ours = report.split(/^==\d+== $/).grep(/Invalid|Mismatched|overlap/).grep(/datadog_native_export/)
    expect(ours).to be_empty, ours.join
    expect(report).to match(/ERROR SUMMARY: \d+ errors/)
    expect(agent.spans.size).to eq(2 * Integer(output))
  end

  it "does not grow with what passes through" do
    output, errors, = run_ruby(<<~RUBY, agent.url)
      #{script}
      def resident = File.read("/proc/self/statm").split[1].to_i * 4
      measure = lambda do |rounds|
        rounds.times { WORKLOAD.call }
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

  it "is told to the garbage collector where the heap is compacted" do
    spans = Support::Corpus.cases.first(20).flat_map(&:spans)
    built = spans.map { |span| Support::Corpus.build(span) }
    before = built.map(&:to_h)
    GC.verify_compaction_references(toward: :empty)

    expect(built.map(&:to_h) == before).to be(true)
  rescue NotImplementedError
    skip "this Ruby can't compact its heap"
  end
end
