# frozen_string_literal: true

# What happens to spans at the end of a process.
RSpec.describe "The end of a process" do
  include_context "with an agent"

  let(:script) { <<~RUBY }
    include Datadog::NativeExport
    # The first thing to happen at exit.
    at_exit { puts Process.clock_gettime(Process::CLOCK_MONOTONIC) }
    EXPORTER = Exporter.new(agent_url: ARGV[0], flush_interval: 3_600)
    def export(id = 1, exporter = EXPORTER)
      exporter.export(chunks(id))
    end
    def busy = (Thread.pass until EXPORTER.stats[:spans_exported] == 1)
    def chunks(id) = TraceChunks.new.begin_chunk << Span.new(name: "job", trace_id: id, span_id: id, start: 0, duration: 0)
  RUBY

  def ids
    agent.spans.map { |span| span["span_id"] }.sort
  end

  def lost(errors)
    errors.scan(/(\d+) spans are lost: the process ends/).flatten.sum { |spans| Integer(spans) }
  end

  # Seconds that the end of a script takes, what it wrote to standard error, and its status.
  def end_of(code, url)
    began, errors, status = yield("#{script}\n#{code}", url)
    [now - Float(began.lines.first), errors, status]
  end

  it "sends what is queued" do
    _, errors, status = run_ruby("#{script} export", agent.url)

    expect([errors, status.exitstatus]).to eq(["", 0])
    expect(ids).to eq([1])
  end

  it "sends what at_exit handlers export, and what forgotten exporters have queued" do
    run_ruby(<<~RUBY, agent.url)
      #{script}
      at_exit { export(2) }
      10.times { |i| Exporter.new(agent_url: ARGV[0], flush_interval: 3_600).export(TraceChunks.new.begin_chunk <<
        Span.new(name: "forgotten", trace_id: 10 + i, span_id: 10 + i, start: 0, duration: 0)) }
      GC.start
    RUBY

    expect(ids).to eq([2, *10..19])
  end

  it "waits no longer than shutdown_timeout for an agent that hangs, and says what is lost" do
    hung_agent do |url|
      took, errors, = end_of("3.times { export }", url) { |*script| run_ruby(*script) }

      expect(took).to be_between(0.95, 2)
      expect(errors.lines.grep(/3 spans are lost: the process ends/).size).to eq(1)
    end
  end

  it "says what forgotten exporters lose, too" do
    hung_agent do |url|
      _, errors, = run_ruby(<<~RUBY, url)
        #{script}
        10.times do
          Exporter.new(agent_url: ARGV[0], flush_interval: 0.01).export(TraceChunks.new.begin_chunk <<
            Span.new(name: "forgotten", trace_id: 1, span_id: 1, start: 0, duration: 0))
        end
        GC.start
      RUBY
      expect(errors.scan(/(\d+) spans are lost/).flatten.sum { |spans| Integer(spans) }).to eq(10)
    end
  end

  it "keeps its status when a logger raises" do
    hung_agent do |url|
      failing = "Class.new { def warn(*) = raise('no') }.new"
      _, _, status = run_ruby(<<~RUBY, url)
        #{script}
        Exporter.new(agent_url: ARGV[0], logger: #{failing}).export(TraceChunks.new.begin_chunk <<
          Span.new(name: "x", trace_id: 1, span_id: 1, start: 0, duration: 0))
        exit 3
      RUBY
      expect(status.exitstatus).to eq(3)
    end
  end

  it "does not wait when nothing is queued" do
    hung_agent do |url|
      patient = script.sub("flush_interval: 3_600", "flush_interval: 3_600, shutdown_timeout: 60")
      expect(elapsed { run_ruby(patient, url) }).to be < 30
    end
  end

  describe "with handlers that run after the gem's own" do
    # Registered before the gem is loaded, as dd-trace-rb's and Minitest's are.
    def run_late(late, script, url)
      late = "at_exit do\n#{late}\nend\nrequire \"datadog/native_export\"\n#{script}"
      capture(RbConfig.ruby, "-I", Support::Processes::LIB, "-e", late, url)
    end

    it "sends what they export" do
      _, errors, status = run_late("export(2)", "#{script} export(1)", agent.url)

      expect([errors, status.exitstatus]).to eq(["", 0])
      expect(ids).to eq([1, 2])
    end

    it "sends what a forked child's export, once" do
      run_late("export($$)", <<~RUBY, agent.url)
        #{script}
        $parent = $$
        export(1)
        fork { export(2) }
        Process.wait
      RUBY

      expect(ids.first(2)).to eq([1, 2])
      expect(ids.drop(2).size).to eq(2)
      expect(ids.uniq).to eq(ids)
    end

    it "says what they lose, and uses no time but what is left" do
      hung_agent do |url|
        took, errors, = end_of("2.times { export }", url) { |*script| run_late("3.times { export }", *script) }

        expect(took).to be_between(0.95, 1.8)
        expect(errors.scan(/(\d+) spans are lost/).flatten).to eq(%w[2 3])
      end
    end

    it "ends with a signal as it should" do
      _, _, status = run_late("export(2)", "#{script} export(1); Process.kill(:TERM, $$); sleep", agent.url)

      expect(status.termsig).to eq(Signal.list["TERM"])
      expect(ids).to eq([1, 2])
    end
  end

  it "passes over exporters that are being collected, whenever that is" do
    hung_agent do |url|
      [60, 180, 300, 420].each do |garbage|
        code = "10.times { |i| export(i + 1, Exporter.new(agent_url: ARGV[0], shutdown_timeout: 0.1)) }; " \
               "EXPORTER.shutdown; #{garbage}.times { Object.new }"
        _, errors, status = run_ruby("#{script} #{code}", url)

        expect([lost(errors), status.exitstatus]).to eq([10, 0])
      end
    end
  end

  describe "with an agent that hangs" do
    around { |example| hung_agent { |url| (@hung = url) && example.run } }

    {
      "ten exporters" => "10.times { |i| export(i + 1, Exporter.new(agent_url: ARGV[0], shutdown_timeout: 1)) }",
      "exit on another thread" => "export; Thread.new { exit }.join",
      "exit in a signal handler" => "export; trap(:USR1) { exit }; Process.kill(:USR1, $$); sleep",
      "exit in a forked child" => "Process.wait(fork { export })",
      "a flush that goes on" => "export; Thread.new { EXPORTER.flush }; busy",
      "a send that goes on" => "Thread.new { EXPORTER.send_trace_chunks(chunks(1)) }; busy"
    }.each do |name, code|
      it "takes no longer than one shutdown_timeout, with #{name}" do
        took, errors, status = end_of(code, @hung) { |*script| run_ruby(*script) }

        expect(took).to be_between(0.95, 2)
        expect(lost(errors)).to eq(name == "ten exporters" ? 10 : 1)
        expect(status.exitstatus).to eq(0)
      end
    end
  end

  it "takes no longer than one shutdown_timeout without an agent" do
    took, errors, = end_of("export", "http://127.0.0.1:#{free_port}") { |*script| run_ruby(*script) }

    expect(took).to be_between(0.95, 2)
    expect(lost(errors)).to eq(1)
  end

  it "loses with exit! what was not flushed, and nothing else" do
    run_ruby("#{script} export(1); EXPORTER.flush; export(2); exit!", agent.url)

    expect(ids).to eq([1])
  end
end
