# frozen_string_literal: true

# What happens to spans at the end of a process; forked ones are in fork_spec.rb.
RSpec.describe "A process" do
  around do |example|
    Datadog::NativeExport::Testing::Agent.start do |agent|
      @agent = agent
      example.run
    end
  end

  attr_reader :agent

  let(:script) { <<~RUBY }
    include Datadog::NativeExport
    EXPORTER = Exporter.new(agent_url: ARGV[0], flush_interval: 3_600)
    def export(id = 1)
      span = Span.new(name: "job", trace_id: id, span_id: id, start: 0, duration: 0)
      EXPORTER.export(TraceChunks.new.begin_chunk << span)
    end
  RUBY

  def ids
    agent.spans.map { |span| span["span_id"] }.sort
  end

  describe "that ends" do
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
        errors = nil
        took = elapsed { _, errors, = run_ruby("#{script} 3.times { export }", url) }
        idle = elapsed { run_ruby(script, url) }

        expect(took - idle).to be_between(0.8, 2)
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
        expect(elapsed { run_ruby(script, url) }).to be < 0.9
      end
    end
  end

  describe "that has no room for a thread" do
    # As another user, since there is no such limit for root.
    before { skip "only root can become another user" unless Process.uid.zero? }

    let(:limited) { "Process.setrlimit(:NPROC, 1); Process::Sys.setgid(65_534); Process::Sys.setuid(65_534)" }

    it "counts what it can't send, and raises nothing" do
      output, errors, = run_ruby(<<~RUBY, agent.url)
        #{script}
        #{limited}
        print export, " ", EXPORTER.stats[:last_error], " "
        chunks = TraceChunks.new.begin_chunk << Span.new(name: "x", trace_id: 1, span_id: 1, start: 0, duration: 0)
        print EXPORTER.send_trace_chunks(chunks).error.message, " "
        EXPORTER.shutdown(timeout: 1)
        print EXPORTER.stats[:dropped][:internal]
      RUBY
      expect(output).to match(/\Atrue the sender cannot be started: .* the sender cannot be started: .* 2\z/)
      expect(errors).not_to include("panicked")
    end
  end

  describe "that has no room for a descriptor" do
    it "starts to send as soon as there is" do
      output, = run_ruby(<<~RUBY, agent.url)
        #{script}
        limits = Process.getrlimit(:NOFILE)
        Process.setrlimit(:NOFILE, Dir.children("/proc/self/fd").size - 1, limits[1])
        export(1)
        Process.setrlimit(:NOFILE, *limits)
        print EXPORTER.flush(timeout: 10)
      RUBY
      expect(output).to eq("true")
      expect(ids).to eq([1])
    end
  end
end
