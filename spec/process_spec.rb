# frozen_string_literal: true

# What happens to spans in a process that is short of something, and in forked ones.
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

  describe "that forks" do
    let(:exporter) { Datadog::NativeExport::Exporter.new(agent_url: agent.url, flush_interval: 3_600) }

    it "sends its own spans, and the child the child's" do
      exporter.export(build_chunks(1, trace_id: 1))
      child = in_child do
        exporter.export(build_chunks(2, trace_id: 2))
        [exporter.flush(timeout: 10), exporter.stats]
      end
      exporter.flush(timeout: 10)

      expect(child).to match([true, a_hash_including(spans_exported: 2, spans_sent: 2)])
      expect(exporter.stats).to include(spans_exported: 1, spans_sent: 1)
      expect(agent.spans.map { |span| span["trace_id"] }.sort).to eq([1, 2, 2])
    end

    # While the parent's sender is still starting up, its thread holds locks of all kinds.
    it "sends from a child that was forked right after the first export" do
      30.times do |i|
        output, errors, = run_ruby(<<~RUBY, agent.url, i * 0.0002)
          #{script}
          export(1)
          sleep(Float(ARGV[1]))
          reader, writer = IO.pipe
          pid = fork do
            export(2)
            writer << EXPORTER.flush(timeout: 5)
            exit!(0)
          end
          writer.close
          print reader.read
          Process.wait(pid)
          exit!(0)
        RUBY
        expect([output, errors]).to eq(["true", ""])
      end
    end

    it "does not leave a child waiting that a signal handler forks while the parent waits" do
      hung_agent do |url|
        output, = run_ruby(<<~RUBY, url)
          #{script}
          parent = Process.pid
          child = nil
          trap("USR1") { child = fork }
          export(1)
          Thread.new { sleep(0.2) && Process.kill("USR1", parent) }
          started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
          EXPORTER.flush(timeout: 4)
          waited = Process.clock_gettime(Process::CLOCK_MONOTONIC) - started
          exit!(waited < 2 ? 7 : 8) if Process.pid != parent
          print Process.wait2(child)[1].exitstatus
          exit!(0)
        RUBY
        expect(output).to eq("7")
      end
    end

    it "has both send what was built before the fork" do
      before = build_chunks(1)
      expect(in_child { exporter.send_trace_chunks(before, timeout: 10).ok? }).to be(true)

      expect(exporter.send_trace_chunks(before, timeout: 10)).to be_ok
      expect(agent.spans.size).to eq(2)
    end

    it "ends its children at once, and they send what they queued" do
      _, errors, status = run_ruby(<<~RUBY, agent.url)
        #{script}
        export(1)
        EXPORTER.flush(timeout: 10)
        3.times { |i| fork { export(10 + i) } }
        Process.waitall
        export(2)
      RUBY

      expect([errors, status.exitstatus]).to eq(["", 0])
      expect(ids).to eq([1, 2, 10, 11, 12])
    end

    it "collects inherited exporters without touching what they hold" do
      exporters = Array.new(20) { Datadog::NativeExport::Exporter.new(agent_url: agent.url, flush_interval: 3_600) }
      exporters.each { |inherited| inherited.export(build_chunks(1)) }
      alive = in_child do
        exporters.clear
        GC.start
        ObjectSpace.each_object(Datadog::NativeExport::Exporter).count
      end

      expect(alive).to be < 10
      exporters.each { |inherited| inherited.flush(timeout: 10) }
      expect(agent.spans.size).to eq(20)
    end

    it "keeps a closed exporter closed" do
      exporter.shutdown(timeout: 5)
      expect(in_child { [exporter.closed?, exporter.export(build_chunks(1)), exporter.shutdown(timeout: 1)] })
        .to eq([true, false, true])
    end
  end
end
