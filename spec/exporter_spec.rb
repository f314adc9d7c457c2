# frozen_string_literal: true

require "logger"
require "stringio"
require "tmpdir"

RSpec.describe Datadog::NativeExport::Exporter do
  let(:errors) { Datadog::NativeExport }
  let(:log) { StringIO.new }
  let(:logger) { Logger.new(log) }

  def exporter(agent_url, **options)
    described_class.new(agent_url:, logger:, retry_deadline: 2, **options)
  end

  include_context "with an agent"

  describe "#export" do
    it "sends in the background, without a flush" do
      expect(exporter(agent.url, flush_interval: 0.05).export(build_chunks(2, 1))).to be(true)

      expect(agent.wait_for(spans: 3).size).to eq(3)
      expect(agent.traces.map(&:size)).to eq([2, 1])
    end

    it "waits for the interval, unless enough has gathered" do
      exporter = exporter(agent.url, flush_interval: 3_600)
      exporter.export(build_chunks(1))
      exporter.export(build_chunks(1, meta: { "large" => "x" * 2_000_000 }))

      expect(agent.wait_for(spans: 2).size).to eq(2)
    end

    it "starts no Ruby thread" do
      exporter = exporter(agent.url)

      expect { exporter.export(build_chunks(1)) }.not_to(change { Thread.list.size })
    end

    it "sends nothing for chunks without spans" do
      exporter = exporter(agent.url)

      expect(exporter.export(build_chunks)).to be(true)
      expect(exporter.export(build_chunks(0, 0))).to be(true)
      exporter.export(build_chunks(0, 1))
      exporter.flush(timeout: 5)
      expect(agent.traces.map(&:size)).to eq([1])
      expect(exporter.stats).to include(spans_exported: 1, payloads_sent: 1)
    end

    it "takes chunks in order until the queue is full, and counts the rest" do
      hung_agent do |url|
        exporter = exporter(url, max_queue_spans: 5)

        expect(exporter.export(build_chunks(2, 2, 2, 1))).to be(false)
        expect(exporter.stats).to include(spans_exported: 7, spans_dropped: 3)
        expect(exporter.stats[:dropped]).to include(queue_full: 3)
        expect(exporter.export(build_chunks(1))).to be(true)
        expect(exporter.export(build_chunks(1))).to be(false)
      end
    end

    it "bounds the queue in bytes too" do
      hung_agent do |url|
        exporter = exporter(url, max_queue_bytes: 100_000)

        expect(exporter.export(build_chunks(1, meta: { "k" => "x" * 90_000 }))).to be(true)
        expect(exporter.export(build_chunks(1, meta: { "k" => "x" * 90_000 }))).to be(false)
        expect(exporter.stats[:dropped]).to include(queue_full: 1)
      end
    end

    it "gives up what has waited longest when it is told to, whole chunks of it" do
      exporter = exporter(agent.url, max_queue_spans: 5, when_full: :drop_oldest, flush_interval: 3_600)
      exporter.export(build_chunks(2, 2, trace_id: 1))

      expect(exporter.export(build_chunks(3, trace_id: 2))).to be(true)
      expect(exporter.stats).to include(spans_exported: 7, spans_dropped: 2, spans_queued: 5)
      expect(exporter.export(build_chunks(6, trace_id: 3))).to be(false)
      exporter.export(build_chunks(1, trace_id: 4))
      exporter.flush(timeout: 5)
      expect(agent.spans.map { |span| span["trace_id"] }).to eq([2, 2, 2, 4])
      expect(exporter.stats).to include(spans_exported: 14, spans_dropped: 10, spans_sent: 4)
    end

    it "returns false after shutdown, and counts" do
      exporter = exporter(agent.url)
      exporter.shutdown(timeout: 5)

      expect(exporter.export(build_chunks(2))).to be(false)
      expect(exporter.stats).to include(spans_exported: 2, spans_dropped: 2, spans_queued: 0)
      expect(exporter.stats[:dropped]).to include(closed: 2)
    end

    it "raises for what are no chunks" do
      expect { exporter(agent.url).export([]) }
        .to raise_error(TypeError, "chunks: expected Datadog::NativeExport::TraceChunks, got Array")
      chunks = build_chunks(1)
      exporter = exporter(agent.url)
      exporter.export(chunks)
      expect { exporter.export(chunks) }.to raise_error(errors::ConsumedError)
    end

    it "splits what is too large for one payload between chunks" do
      exporter = exporter(agent.url)
      exporter.export(build_chunks(1, 1, 1, 1, meta: { "large" => "x" * 2_000_000 }))

      expect(exporter.flush(timeout: 10)).to be(true)
      requests = agent.requests.select { |request| request.path == "/v0.4/traces" }
      expect(requests.map { |request| request.headers["x-datadog-trace-count"] }).to eq(%w[2 2])
      expect(requests.map { |request| request.body.bytesize }).to all(be < 5 * 1024 * 1024)
    end

    it "fills payloads up to the size it is told" do
      exporter = exporter(agent.url, max_payload_bytes: 10_000)
      exporter.export(build_chunks(*[1] * 20, meta: { "k" => "x" * 1_000 }))

      expect(exporter.flush(timeout: 10)).to be(true)
      sizes = agent.requests.select { |request| request.path == "/v0.4/traces" }.map { |request| request.body.bytesize }
      expect(sizes).to all(be_between(5_000, 10_000))
      expect(agent.traces.size).to eq(20)
    end

    it "gives up a trace that no agent takes, and that alone" do
      exporter = exporter(agent.url)
      exporter.export(build_chunks(1, meta: { "large" => "x" * (26 * 1024 * 1024) }))
      exporter.export(build_chunks(2))

      expect(exporter.flush(timeout: 10)).to be(true)
      expect(agent.spans.size).to eq(2)
      expect(exporter.stats[:dropped]).to include(too_large: 1)
      expect(exporter.stats[:last_error]).to match(/a trace of 1 spans takes 2726\d+ bytes/)
    end
  end

  describe "#send_trace_chunks" do
    it "returns the agent's answer" do
      response = exporter(agent.url).send_trace_chunks(build_chunks(1, 2), timeout: 5)

      expect(response).to have_attributes(
        ok?: true, trace_count: 2, status: 200, error: nil, service_rates: { "service:,env:" => 1.0 },
        payload: include("rate_by_service"), internal_error?: false, server_error?: false, client_error?: false
      )
      expect(agent.traces.map(&:size)).to eq([1, 2])
    end

    it "says how the agent refused" do
      agent.respond_with(404, {}, "no such version")
      response = exporter(agent.url).send_trace_chunks(build_chunks(1), timeout: 5)

      expect(response).to have_attributes(
        ok?: false, not_found?: true, client_error?: true, server_error?: false, internal_error?: false,
        status: 404, loss: :refused, payload: "no such version", service_rates: nil
      )
      expect(response.error).to be_a(errors::Error)
      expect(response.error.message).to match(/#{agent.url} answered 404 Not Found: no such version/)
    end

    it "does not repeat what can't succeed, and repeats what may" do
      answers = [503, 429, 408]
      agent.respond_with { answers.shift }
      exporter = exporter(agent.url)

      expect(exporter.send_trace_chunks(build_chunks(1), timeout: 10)).to be_ok
      expect(exporter.stats).to include(retries: 3, spans_sent: 1, payloads_sent: 1)
      [400, 404, 413, 415].each do |status|
        agent.respond_with(status)
        expect(exporter.send_trace_chunks(build_chunks(1), timeout: 10)).to have_attributes(status: status)
      end
      expect(exporter.stats).to include(retries: 3, spans_dropped: 4)
      expect(exporter.stats[:dropped]).to include(refused: 3, too_large: 1)
    end

    it "says that nobody answers" do
      response = exporter("http://127.0.0.1:#{free_port}").send_trace_chunks(build_chunks(1), timeout: 10)

      expect(response).to have_attributes(ok?: false, internal_error?: true, status: nil, loss: :unreachable)
      expect(response.error.message).to match(/cannot be reached: .*[Cc]onnect/)
    end

    it "gives up waiting at the timeout; the chunks stay on their way" do
      release = Queue.new
      agent.respond_with { release.pop }
      exporter = exporter(agent.url)
      response = nil

      expect(elapsed { response = exporter.send_trace_chunks(build_chunks(1), timeout: 0.2) }).to be_between(0.2, 0.4)
      expect(response).to have_attributes(ok?: false, internal_error?: true,
                                          error: an_instance_of(errors::TimeoutError))
      release << nil
      expect(exporter.flush(timeout: 5)).to be(true)
      expect(exporter.stats).to include(spans_exported: 1, spans_sent: 1, spans_dropped: 0)
    end

    it "lets other threads run while it waits" do
      hung_agent do |url|
        turns = 0
        other = Thread.new { loop { Thread.pass || turns += 1 } }
        exporter(url).send_trace_chunks(build_chunks(1), timeout: 0.3)
        other.kill
        expect(turns).to be > 1_000
      end
    end

    it "raises after shutdown" do
      exporter = exporter(agent.url)
      exporter.shutdown(timeout: 5)

      expect { exporter.send_trace_chunks(build_chunks(1)) }.to raise_error(errors::ClosedError)
      expect { exporter.flush }.to raise_error(errors::ClosedError)
    end

    it "answers for chunks that find no room" do
      response = exporter(agent.url, max_queue_spans: 1).send_trace_chunks(build_chunks(1, 1), timeout: 5)

      expect(response).to have_attributes(ok?: false, internal_error?: true, loss: :queue_full)
      expect(agent.spans.size).to eq(1)
    end
  end

  describe "#flush" do
    it "is done when everything queued before has been answered for" do
      exporter = exporter(agent.url, flush_interval: 3_600)
      5.times { exporter.export(build_chunks(1)) }

      expect(exporter.flush(timeout: 5)).to be(true)
      expect(agent.spans.size).to eq(5)
      expect(exporter.stats).to include(spans_sent: 5, spans_queued: 0, bytes_queued: 0)
    end

    it "gives up at the timeout, with an agent that hangs" do
      hung_agent do |url|
        exporter = exporter(url)
        exporter.export(build_chunks(1))

        expect(elapsed { expect(exporter.flush(timeout: 0.2)).to be(false) }).to be_between(0.2, 0.4)
      end
    end

    it "has nothing to wait for before the first export" do
      expect(elapsed { expect(exporter("http://127.0.0.1:1").flush(timeout: 5)).to be(true) }).to be < 0.05
    end

    it "can be interrupted" do
      hung_agent do |url|
        exporter = exporter(url)
        exporter.export(build_chunks(1))
        waiter = Thread.new { exporter.flush(timeout: 30) }
        wait_until { waiter.stop? }

        expect(elapsed { waiter.kill.join }).to be < 0.2
        expect(elapsed do
                 expect do
                   Timeout.timeout(0.1) do
                     exporter.flush(timeout: 30)
                   end
                 end.to raise_error(Timeout::Error)
               end)
          .to be < 0.3
      end
    end

    # Threads of a process but for the sender's, and for Ruby's timer, which may start at any time.
    def threads_of(pid)
      Dir["/proc/#{pid}/task/*/comm"].map { |path| File.read(path) }.grep_v(/\Add-native|timer/).size
    end

    # Flushes in a forked process, with the given number of other threads, and yields once it waits, with the number of
    # its threads before. What is returned is when that was interrupted.
    def interrupted(threads)
      hung_agent do |url|
        reader, writer = IO.pipe
        pid = Process.fork do
          # Taken away, so that RSpec's own handler does not run.
          trap("INT", "DEFAULT")
          threads_before = threads_of("self")
          exporter = exporter(url)
          exporter.export(build_chunks(1))
          threads.times { Thread.new { sleep } }
          writer.putc(threads_before)
          exporter.flush(timeout: 30)
        rescue Interrupt
          writer << now
        ensure
          exit!(0)
        end
        writer.close
        threads_before = reader.readbyte
        wait_until { File.read("/proc/#{pid}/stat")[/\) (\w)/, 1] == "S" }
        yield pid, threads_before
        Process.wait(pid)
        Float(reader.read)
      end
    end

    [0, 1].each do |threads|
      it "gives way to Ctrl-C, with #{threads} other threads alive" do
        sent = nil
        interrupted = interrupted(threads) do |pid|
          sent = now
          Process.kill("INT", pid)
        end
        expect(interrupted - sent).to be < 0.5
      end
    end

    it "starts no thread to wait" do
      interrupted(0) do |pid, threads_before|
        # The sender's have their names once they run.
        wait_until { threads_of(pid) == threads_before }
      ensure
        Process.kill("INT", pid)
      end
    end

    it "waits on after a signal that is merely handled" do
      hung_agent do |url|
        exporter = exporter(url)
        exporter.export(build_chunks(1))
        handled = 0
        previous = trap("USR1") { handled += 1 }
        killer = Thread.new { 3.times { Process.kill("USR1", Process.pid) && sleep(0.05) } }

        expect(elapsed { expect(exporter.flush(timeout: 0.5)).to be(false) }).to be >= 0.5
        killer.join
        trap("USR1", previous)
        expect(handled).to be > 0
      end
    end

    it "refuses what is no time" do
      expect { exporter(agent.url).flush(timeout: "1") }.to raise_error(TypeError, /timeout: expected seconds/)
      expect { exporter(agent.url).flush(timeout: -1) }.to raise_error(ArgumentError, /timeout: expected 0 or more/)
    end
  end

  describe "#shutdown" do
    it "sends what is queued, then closes; calling it again is harmless" do
      exporter = exporter(agent.url, flush_interval: 3_600)
      exporter.export(build_chunks(3))

      expect(exporter.shutdown(timeout: 5)).to be(true)
      expect(agent.spans.size).to eq(3)
      expect(exporter).to be_closed
      expect(exporter.shutdown(timeout: 5)).to be(true)
    end

    it "returns false when the time runs out" do
      hung_agent do |url|
        exporter = exporter(url)
        exporter.export(build_chunks(1))

        expect(exporter.shutdown(timeout: 0.1)).to be(false)
        expect(exporter).to be_closed
      end
    end

    it "is done at once when nothing was exported" do
      expect(exporter("http://127.0.0.1:1").shutdown).to be(true)
    end
  end

  describe "an agent that can't be reached" do
    it "costs no time on export, and its losses are counted and told once" do
      exporter = exporter("http://127.0.0.1:#{free_port}")
      expect(elapsed { 20.times { exporter.export(build_chunks(5)) } }).to be < 0.5

      expect(exporter.flush(timeout: 10)).to be(true)
      expect(exporter.stats).to include(spans_exported: 100, spans_sent: 0, spans_dropped: 100)
      expect(exporter.stats[:dropped]).to include(unreachable: 100)
      expect(log.string.lines.grep(/Spans are being lost \(unreachable\)/).size).to eq(1)
      expect(log.string.lines.size).to eq(1)
    end

    it "is told to be back, with the number that was lost" do
      exporter = exporter(agent.url)
      agent.respond_with(400)
      exporter.send_trace_chunks(build_chunks(3), timeout: 5)
      exporter.send_trace_chunks(build_chunks(4), timeout: 5)
      agent.respond_with(200)
      wait_until do
        exporter.send_trace_chunks(build_chunks(1), timeout: 5)
        log.string.lines.size > 1
      end

      expect(log.string.lines).to match([/Spans are being lost \(refused\)/, /reach the agent again; 7 were lost/])
    end
  end

  describe "#service_rates" do
    it "gives the agent's latest rates, and the same Hash until they change" do
      exporter = exporter(agent.url)
      expect(exporter.service_rates).to be_nil
      exporter.send_trace_chunks(build_chunks(1), timeout: 5)

      rates = exporter.service_rates
      expect(rates).to eq("service:,env:" => 1.0).and be_frozen
      agent.respond_with(200, {}, "{}")
      exporter.send_trace_chunks(build_chunks(1), timeout: 5)
      GC.start
      expect(exporter.service_rates).to equal(rates)
      agent.respond_with(200, {}, '{"rate_by_service":{"service:shop,env:prod":0.25}}')
      exporter.send_trace_chunks(build_chunks(1), timeout: 5)
      expect(exporter.service_rates).to eq("service:shop,env:prod" => 0.25)
    end
  end

  it "is shared by Ractors when it is frozen" do
    output, errors, status = run_ruby(<<~RUBY, agent.url)
      Warning[:experimental] = false
      exporter = Datadog::NativeExport::Exporter.new(agent_url: ARGV[0], logger: Object.new)
      exporter = Ractor.make_shareable(exporter)
      ractors = Array.new(4) do |id|
        Ractor.new(exporter, id) do |exporter, id|
          100.times do |i|
            span = Datadog::NativeExport::Span.new(name: "r", trace_id: id + 1, span_id: (id * 1_000) + i + 1, start: 0,
                                                   duration: 0, meta: { "ractor" => id.to_s, "é" => "x" })
            exporter.export(Datadog::NativeExport::TraceChunks.new.begin_chunk << span)
          end
          response = exporter.send_trace_chunks(Datadog::NativeExport::TraceChunks.new, timeout: 5)
          [response.ok?, exporter.flush(timeout: 10), (exporter.service_rates || {}).size, exporter.frozen?]
        end
      end
      print ractors.map(&:take).inspect, exporter.stats[:spans_sent]
    RUBY

    expect([output, errors, status.exitstatus]).to eq(["#{[[true, true, 1, true]] * 4}400", "", 0])
    expect(agent.spans.map { |span| span["span_id"] }.uniq.size).to eq(400)
    expect(agent.spans).to all(satisfy { |span| span["meta"]["ractor"] == (span["trace_id"] - 1).to_s })
  end

  it "loses nothing to an agent that is merely slow" do
    exporter = exporter(agent.url, flush_interval: 0.02, retry_deadline: 0.5)
    agent.respond_with { sleep(0.2) && nil }
    sent = Array.new(8) do |i|
      Thread.new { exporter.send_trace_chunks(build_chunks(1, trace_id: i + 1), timeout: 10).ok? }
    end

    expect(sent.map(&:value)).to all(be(true))
    expect(exporter.stats).to include(spans_sent: 8, spans_dropped: 0)
  end

  it "tells how long the agent takes" do
    exporter = exporter(agent.url)
    expect(exporter.stats).to include(send_time_p50: nil, send_time_max: nil)
    agent.respond_with { sleep(0.1) && nil }
    exporter.send_trace_chunks(build_chunks(1), timeout: 5)

    expect(exporter.stats).to include(send_time_p50: be_between(0.1, 2), send_time_max: be_between(0.1, 2))
  end

  it "is shared by threads" do
    exporter = exporter(agent.url)
    threads = Array.new(8) { Thread.new { 50.times { exporter.export(build_chunks(2, 1)) } } }
    threads.each(&:join)

    expect(exporter.flush(timeout: 10)).to be(true)
    expect(agent.spans.size).to eq(8 * 50 * 3)
    expect(exporter.stats).to include(spans_sent: 1_200, spans_dropped: 0)
  end

  it "keeps its lines for later when it is used in a signal handler" do
    exporter = exporter(agent.url)
    agent.respond_with(400)
    exporter.export(build_chunks(1))
    wait_until { exporter.stats[:spans_dropped] == 1 }
    handled = nil
    previous = trap("USR2") { handled = exporter.export(build_chunks(1)) }
    Process.kill("USR2", Process.pid)
    wait_until { !handled.nil? }
    trap("USR2", previous)

    expect([handled, log.string]).to eq([true, ""])
    exporter.flush(timeout: 5)
    expect(log.string.lines.grep(/refused/).size).to eq(1)
  end

  it "gives frozen statistics that add up" do
    stats = exporter(agent.url).stats

    expect(stats).to be_frozen.and include(dropped: be_frozen)
    expect(stats.keys).to contain_exactly(
      :spans_queued, :chunks_queued, :bytes_queued, :spans_exported, :spans_sent, :spans_dropped, :dropped,
      :values_repaired, :values_left_out, :payloads_sent, :bytes_sent, :retries, :last_error,
      :send_time_p50, :send_time_max
    )
  end

  it "counts the bytes it sent" do
    exporter = exporter(agent.url)
    exporter.export(build_chunks(3))
    exporter.flush(timeout: 5)

    sent = agent.requests.find { |request| request.path == "/v0.4/traces" }
    expect(exporter.stats).to include(bytes_sent: sent.body.bytesize, payloads_sent: 1)
  end

  describe "options" do
    {
      { agent_url: "localhost:8126" } =>
        %r{agent_url: expected http\(s\)://host:port or unix:///path/to/socket, got "localhost:8126"},
      { agent_url: "ftp://agent" } => /agent_url: expected/,
      { agent_url: "/path" } => /agent_url: expected/,
      { agent_url: 8126 } => /agent_url: expected a String, got 8126/,
      { agent_url: "http://user:secret@agent" } => %r{got "http://…@agent": user names and passwords},
      { agent_url: "http://\xFF:1" } => /agent_url: expected a String/,
      { flush_interval: 0 } => /flush_interval: expected a positive number of seconds up to 31536000, got 0/,
      { flush_interval: 1e19 } => /flush_interval: expected a positive number of seconds up to 31536000, got 1/,
      { agent_timeout: "3" } => /agent_timeout: expected a positive number of seconds up to 31536000, got "3"/,
      { shutdown_timeout: Float::INFINITY } => /shutdown_timeout: expected a positive number/,
      { when_full: :block } => /when_full: expected one of :drop_newest, :drop_oldest, got :block/,
      { max_payload_bytes: 0 } => /max_payload_bytes: expected an Integer of 1 or more, got 0/,
      { retry_deadline: -1 } => /retry_deadline: expected a positive number/,
      { max_queue_spans: 0 } => /max_queue_spans: expected an Integer of 1 or more, got 0/,
      { max_queue_bytes: 1.5 } => /max_queue_bytes: expected an Integer of 1 or more, got 1.5/,
      { tracer_version: "1\n2" } => /tracer_version: expected printable ASCII/,
      { headers: "X: y" } => /headers: expected a Hash of Strings, got "X: y"/,
      { headers: { "X-Own" => 3 } } => /headers: expected a String, got 3/,
      { headers: { "no name" => "x" } } => /headers: "no name": invalid HTTP header name/,
      { headers: { "X-Own" => "a\nb" } } => /headers: "X-Own": expected printable ASCII/,
      { headers: { "Content-Length" => "3" } } => /headers: "Content-Length": this header can't be chosen/,
      { span_events: 1 } => /span_events: expected one of true, false, nil, got 1/,
      { client_computed_stats: nil } => /client_computed_stats: expected one of true, false, got nil/,
      { test_session_token: "" } => /test_session_token: expected text, got an empty String/
    }.each do |option, message|
      it "refuses #{option}" do
        expect { described_class.new(**option) }.to raise_error(errors::ConfigurationError, message)
      end
    end

    it "does not repeat a password" do
      expect { described_class.new(agent_url: "http://user:secret@agent") }
        .to raise_error(errors::ConfigurationError, satisfy { |message| !message.include?("secret") })
    end

    it "are shown short" do
      expect(exporter("http://127.0.0.1:1").inspect)
        .to eq("#<Datadog::NativeExport::Exporter http://127.0.0.1:1>")
    end
  end

  describe "headers" do
    def headers_with(**options)
      exporter(agent.url, **options).send_trace_chunks(build_chunks(1), timeout: 10)
      agent.requests.reverse_each.find { |request| request.path == "/v0.4/traces" }.headers
    end

    it "are those that were asked for" do
      plain = headers_with
      expect(plain.keys & %w[datadog-client-computed-top-level datadog-client-computed-stats x-own]).to be_empty

      own = { "X-Own" => "1", "Datadog-Container-ID" => "container" }
      expect(headers_with(headers: own, client_computed_top_level: true, client_computed_stats: true)).to include(
        "x-own" => "1", "datadog-container-id" => "container",
        "datadog-client-computed-top-level" => /\A(?!0|f|false\z)./i,
        "datadog-client-computed-stats" => /\A(?!0|f|false\z)./i
      )
    end
  end

  it "sends span events in the form that was asked for, whatever the agent says" do
    { true => "span_events", false => "meta" }.each do |span_events, field|
      span = build_span.add_event(name: "here", time_unix_nano: 1)
      chunks = Datadog::NativeExport::TraceChunks.new.begin_chunk << span
      exporter(agent.url, span_events:).send_trace_chunks(chunks, timeout: 10)
      sent = agent.spans.last

      expect(sent[field].to_s).to include("here")
      expect(sent.key?("span_events")).to be(span_events)
    end
  end

  it "has one owner" do
    expect { exporter(agent.url).dup }.to raise_error(TypeError, /can't copy/)
  end

  it "sends through a Unix socket" do
    Dir.mktmpdir do |folder|
      path = File.join(folder, "apm.socket")
      server = UNIXServer.new(path)
      proxy = Thread.new do
        loop do
          client = server.accept
          upstream = TCPSocket.new("127.0.0.1", Integer(agent.url[/\d+\z/]))
          [[client, upstream], [upstream, client]].each { |from, to| Thread.new { IO.copy_stream(from, to) } }
        end
      end

      expect(exporter("unix://#{path}").send_trace_chunks(build_chunks(1), timeout: 5)).to be_ok
      expect(agent.spans.size).to eq(1)
    ensure
      proxy&.kill
      server&.close
    end
  end
end
