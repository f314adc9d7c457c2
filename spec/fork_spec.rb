# frozen_string_literal: true

require_relative "support/fault_agent"

# Every kind of fork: all processes go on with the same exporter, and each sends what it exported itself.
RSpec.describe "A process that forks" do
  include_context "with an agent"

  let(:exporter) { Datadog::NativeExport::Exporter.new(agent_url: agent.url, flush_interval: 3_600) }

  # Nothing is sent before a flush, or the end.
  let(:script) { <<~RUBY }
    include Datadog::NativeExport
    EXPORTER = Exporter.new(agent_url: ARGV[0], flush_interval: 3_600, agent_timeout: 30, shutdown_timeout: 30).freeze
    def chunks(number)
      TraceChunks.new.begin_chunk << Span.new(name: "job", trace_id: 1, span_id: number, start: 0, duration: 0,
                                              meta: { "pid" => Process.pid.to_s })
    end
    def export(number) = EXPORTER.export(chunks(number))
    def reap(pid)
      status = Process.wait2(pid)[1]
      abort "the child's end: \#{status}" unless status.success?
    end
  RUBY

  # The ids of the spans in each request, in order of arrival.
  def deliveries
    sent = agent.requests.select { |request| request.path == "/v0.4/traces" }
    sent.map { |request| request.traces.flatten(1).map { |span| span["span_id"] } }
  end

  # Expects two processes, of which the parent made the spans with odd numbers.
  def expect_own_spans_from_each
    odd, even = agent.spans.partition { |span| span["span_id"].odd? }
    parent, child = [odd, even].map { |spans| spans.map { |span| span["meta"]["pid"] }.uniq }
    expect([parent, child]).to match([[/\d/], [/\d/]])
    expect(child).not_to eq(parent)
  end

  def descriptors
    Dir.children("/proc/self/fd").filter_map do |number|
      "#{File.readlink("/proc/self/fd/#{number}")} as #{number}"
    rescue Errno::ENOENT
      # That of the directory.
    end
  end

  def run_in_peace(body)
    output, errors, status = run_ruby("#{script}\n#{body}", agent.url)
    expect([output, errors, status.exitstatus]).to eq(["", "", 0])
  end

  {
    "with fork and a block" => "reap(fork { export(2) })",
    "with fork and no block" => <<~RUBY,
      unless (pid = fork)
        export(2)
        exit
      end
      reap(pid)
    RUBY
    "and whose child leaves by exit! after a flush" => <<~RUBY,
      reap(fork do
        export(2)
        EXPORTER.flush(timeout: 30)
        exit!(0)
      end)
    RUBY
    'with IO.popen("-")' => <<~RUBY,
      unless (io = IO.popen("-"))
        export(2)
        exit
      end
      reap(io.pid)
    RUBY
    "on a thread that isn't the main one, which waits for that" => "Thread.new { reap(fork { export(2) }) }.join",
    "on a thread that isn't the main one, without a block" => <<~RUBY,
      Thread.new do
        unless (pid = fork)
          export(2)
          exit
        end
        reap(pid)
      end.join
    RUBY
    "in a signal handler" => <<~RUBY,
      pid = nil
      trap("USR1") { pid = fork { export(2) } }
      Process.kill("USR1", Process.pid)
      sleep 0.001 until pid
      reap(pid)
    RUBY
    # On Ruby 3.1, with or without this gem, a child that a Ractor has forked can't leave by `exit`.
    "in a Ractor" => <<~RUBY
      $VERBOSE = nil
      reap(Ractor.new do
        fork do
          export(2)
          EXPORTER.flush(timeout: 30)
          exit!(0)
        end
      end.take)
    RUBY
  }.each do |way, fork|
    it "#{way} sends its own spans, once, and the child the child's" do
      run_in_peace(<<~RUBY)
        export(1)
        #{fork}
        export(3)
        EXPORTER.flush(timeout: 30)
        exit!(0)
      RUBY

      expect(deliveries).to eq([[2], [1, 3]])
      expect_own_spans_from_each
    end
  end

  it "has its grandchildren send their own, too" do
    run_in_peace(<<~RUBY)
      export(1)
      reap(fork do
        export(2)
        reap(fork { export(3) })
      end)
    RUBY

    expect(deliveries).to eq([[3], [2], [1]])
    expect(agent.spans.map { |span| span["meta"]["pid"] }.uniq.size).to eq(3)
  end

  it "to become a daemon sends what that exports" do
    run_in_peace(<<~RUBY)
      export(1)
      EXPORTER.flush(timeout: 30)
      Process.daemon(true, true)
      export(2)
    RUBY

    expect(deliveries).to eq([[1], [2]])
    expect_own_spans_from_each
  end

  describe "in a signal handler that interrupts" do
    # Asks for the fork when the parent's span is there, and keeps the parent waiting for the answer until the
    # child's has come.
    before do
      agent.respond_with do |request|
        span = request.traces.dig(0, 0)
        next if span["span_id"] != 1 || agent.spans.any?

        Process.kill("USR1", Integer(span["meta"]["pid"]))
        agent.wait_for(spans: 1, timeout: 20)
        nil
      end
    end

    {
      "a flush" => "export(1); EXPORTER.flush(timeout: 30) or abort('no answer'); reap(pid)",
      "a send" => "EXPORTER.send_trace_chunks(chunks(1), timeout: 30).ok? or abort('no answer'); reap(pid)",
      "its end" => "export(1)"
    }.each do |what, wait|
      it "#{what} goes on with that, and the child is not held up" do
        run_in_peace(<<~RUBY)
          pid = nil
          trap("USR1") do
            pid = fork do
              export(2)
              EXPORTER.flush(timeout: 30)
            end
          end
          #{wait}
        RUBY

        expect(agent.spans.map { |span| span["span_id"] }).to eq([2, 1])
        expect_own_spans_from_each
      end
    end

    it "a flush ends that in a child which returns from the handler" do
      run_in_peace(<<~RUBY)
        parent = Process.pid
        pid = nil
        trap("USR1") { pid = fork }
        export(1)
        flushed = EXPORTER.flush(timeout: 30)
        if Process.pid == parent
          reap(pid)
          abort "no answer" unless flushed
        else
          abort "the parent's spans are answered for in the child" if flushed
          export(2)
        end
      RUBY

      expect(agent.spans.map { |span| span["span_id"] }).to eq([2, 1])
      expect_own_spans_from_each
    end
  end

  it "while a thread waits for an answer leaves that alone" do
    Support::FaultAgent.start do |faulty|
      patient = Datadog::NativeExport::Exporter.new(agent_url: faulty.url, agent_timeout: 30)
      go_on = Queue.new
      faulty.script({ wait: go_on })
      sending = Thread.new { patient.send_trace_chunks(build_chunks(1), timeout: 30) }
      wait_until { faulty.attempts.any? }
      delivered = in_child { patient.export(build_chunks(1)) && patient.flush(timeout: 10) && patient.stats }
      go_on << true

      expect(delivered).to include(spans_exported: 1, spans_sent: 1)
      expect(sending.value).to be_ok
      expect([faulty.received, faulty.problems]).to eq([{ 1 => 2 }, []])
    end
  end

  it "counts the child's spans from 0" do
    exporter.export(build_chunks(1))
    child = in_child { exporter.export(build_chunks(2)) && exporter.stats }

    expect([exporter.stats, child]).to match([a_hash_including(spans_exported: 1), a_hash_including(spans_exported: 2)])
  end

  it "has both send spans and chunks that were built before" do
    chunks = build_chunks(1, name: "in chunks")
    span = build_span(name: "alone")
    send_both = lambda do
      [chunks, Datadog::NativeExport::TraceChunks.new.begin_chunk << span].map do |built|
        exporter.send_trace_chunks(built, timeout: 10).ok?
      end
    end

    expect([in_child(&send_both), send_both.call]).to eq([[true, true], [true, true]])
    expect(agent.spans.map { |sent| sent["name"] }.tally).to eq("in chunks" => 2, "alone" => 2)
  end

  it "keeps its connections and its epoll, and the child makes its own" do
    exporter.send_trace_chunks(build_chunks(1), timeout: 10)
    own = descriptors
    added, closed = in_child do
      inherited = descriptors
      exporter.send_trace_chunks(build_chunks(1), timeout: 10)
      [descriptors - inherited, inherited - descriptors]
    end

    expect(added).to include(/eventpoll/, /socket/, /eventfd/)
    expect(closed).to eq([])
    expect(exporter.send_trace_chunks(build_chunks(1), timeout: 10)).to be_ok
    # The agent runs in this process, and has one more connection: the child's.
    expect(own - descriptors).to eq([])
  end

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
