# frozen_string_literal: true

require_relative "../support/scripted_server"

# Statistics with an agent that fails them.
RSpec.describe Datadog::NativeExport::Exporter, "statistics" do
  info = JSON.generate(client_drop_p0s: true, endpoints: %w[/v0.4/traces /v0.6/stats])

  # An agent that takes traces and does with statistics what it is told to.
  def with_agent(statistics, info: RSpec.current_example.metadata[:info], &block)
    answer = lambda do |request|
      case request.path
      when "/info" then [200, {}, info]
      when "/v0.6/stats" then statistics.call
      end
    end
    Support::ScriptedServer.start(answer, &block)
  end

  let(:lines) { [] }

  def exporter(server, **options)
    logger = Struct.new(:lines) { def warn(line) = lines << line }.new(lines)
    described_class.new(agent_url: server.url, stats: true, logger:, **options)
  end

  def hits(server)
    server.requests("/v0.6/stats").map { |request| MessagePack.unpack(request.body) }
          .flat_map { |payload| payload["Stats"] }.flat_map { |bucket| bucket["Stats"] }.sum { |group| group["Hits"] }
  end

  def top_level = build_chunks(1, start: Time.now)

  it "are sent again when they are refused for now", info: info do
    answers = [[503, {}, "busy"], [429, {}, "busy"]]
    with_agent(-> { answers.shift }) do |server|
      exporter = exporter(server)
      exporter.export(top_level)

      expect(exporter.flush(timeout: 10)).to be(true)
      expect(hits(server)).to eq(3)
      expect(exporter.stats).to include(stats_payloads_sent: 1, stats_payloads_dropped: 0, spans_sent: 1)
    end
  end

  it "are lost and told of once when they are refused for good", info: info do
    with_agent(-> { [400, {}, "no statistics here"] }) do |server|
      exporter = exporter(server)
      2.times do
        exporter.export(top_level)
        expect(exporter.flush(timeout: 10)).to be(true)
      end

      expect(exporter.stats).to include(stats_payloads_sent: 0, stats_payloads_dropped: 2, spans_sent: 2)
      expect(lines.grep(/Statistics of spans are being lost: the agent at .* answered 400 Bad Request: no statistics/))
        .to match([lines.first])
    end
  end

  it "hold up a flush no longer than it may take, nor a payload, where the endpoint hangs", info: info do
    hang = Queue.new
    with_agent(-> { hang.pop }) do |server|
      exporter = exporter(server, agent_timeout: 0.5)
      exporter.export(top_level)

      expect(elapsed { expect(exporter.flush(timeout: 0.2)).to be(false) }).to be < 1
      expect(exporter.send_trace_chunks(build_chunks(1), timeout: 5)).to be_ok
      expect(elapsed { expect(exporter.flush(timeout: 10)).to be(true) }).to be < 3
      expect(exporter.shutdown(timeout: 10)).to be(true)
      expect(exporter.stats).to include(spans_sent: 2, spans_dropped: 0, stats_payloads_sent: 0)
      expect(server.requests("/v0.6/stats").size).to eq(exporter.stats[:stats_payloads_dropped])
    ensure
      3.times { hang << nil }
    end
  end

  it "hold up the end of a process no longer than shutdown_timeout", info: info do
    hang = Queue.new
    with_agent(-> { hang.pop }) do |server|
      output, errors, status = run_ruby(<<~RUBY, server.url)
        include Datadog::NativeExport
        at_exit { puts Process.clock_gettime(Process::CLOCK_MONOTONIC) }
        Exporter.new(agent_url: ARGV[0], stats: true, shutdown_timeout: 0.5).export(
          TraceChunks.new.begin_chunk << Span.new(name: "job", trace_id: 1, span_id: 1, start: Time.now, duration: 1))
      RUBY

      expect(now - Float(output)).to be < 2
      expect(status).to be_success
      expect(errors.lines).to match([/statistics of spans are lost: the process ends, on their way to #{server.url}/])
      expect(server.requests("/v0.4/traces").size).to eq(1)
    ensure
      3.times { hang << nil }
    end
  end

  it "are not computed for an agent that doesn't say it takes them" do
    with_agent(-> {}, info: JSON.generate(endpoints: %w[/v0.4/traces])) do |server|
      exporter = exporter(server)
      exporter.export(build_chunks(1, metrics: { "_sampling_priority_v1" => 0 }))

      expect(exporter.flush(timeout: 10)).to be(true)
      expect(server.requests("/v0.6/stats")).to be_empty
      expect(exporter.stats).to include(spans_sent: 1, spans_sampled_out: 0)
    end
  end
end
