# frozen_string_literal: true

require_relative "../support/scripted_server"

# Statistics and OTLP with an agent or collector that refuses at random, while threads export and the process forks and
# ends.
RSpec.describe "Statistics and OTLP in a storm" do
  info = JSON.generate(client_drop_p0s: true, endpoints: %w[/v0.4/traces /v0.6/stats])
  children = 40
  threads = 4

  # Each process exports traces of one span, of which every other one is not sampled.
  script = <<~RUBY
    include Datadog::NativeExport
    EXPORTER = Exporter.new(**eval(ARGV[0]), flush_interval: 0.01, shutdown_timeout: 60, retry_deadline: 60,
                            max_payload_bytes: 20_000, logger: Class.new { def warn(*) = nil }.new)
    def export(first, spans)
      spans.times do |i|
        id = first + i
        EXPORTER.export(TraceChunks.new.begin_chunk << Span.new(
          name: "job", service: "shop", trace_id: id, span_id: id, start: Time.now, duration: 1,
          metrics: { "_sampling_priority_v1" => id % 2 }))
        sleep 0.001 if (i % 10).zero?
      end
    end
    threads = Array.new(#{threads}) { |i| Thread.new { export(1_000_000 * (i + 1), 1_000) } }
    pids = Array.new(#{children}) do |i|
      sleep 0.005
      fork { export(1_000 * (i + 1), 10) }
    end
    threads.each(&:join)
    abort "a child failed" unless pids.all? { |pid| Process.wait2(pid)[1].success? }
  RUBY

  total = (threads * 1_000) + (children * 10)

  # Runs the script with a server that answers a third of all requests with 503, but for those to /info, which are made
  # again after five seconds at the soonest. Returns what it has accepted.
  def storm(script, info, options)
    random = Random.new(Random.new_seed)
    accepted = Queue.new
    answer = lambda do |request|
      next [200, {}, info] if request.path == "/info"
      next [503, {}, "busy"] if random.rand < 0.33

      accepted << request
      nil
    end
    Support::ScriptedServer.start(answer) do |server|
      _, errors, status = run_ruby(script, options.call(server.url).inspect)
      expect([errors, status.exitstatus]).to eq(["", 0])
    end
    Array.new(accepted.size) { accepted.pop }
  end

  it "counts each span once, here or at the agent, and sends sampled ones once" do
    accepted = storm(script, info, ->(url) { { agent_url: url, stats: true } })
    statistics, payloads = accepted.partition { |request| request.path == "/v0.6/stats" }
    computed, left = payloads.partition { |request| request.headers["datadog-client-computed-stats"] }
    spans = ->(requests) { requests.flat_map { |request| MessagePack.unpack(request.body).flatten(1) } }
    groups = statistics.flat_map { |request| MessagePack.unpack(request.body)["Stats"] }
                       .flat_map { |bucket| bucket["Stats"] }
    hits = groups.sum { |group| group["Hits"] }
    ids = spans[payloads].map { |span| span["span_id"] }

    expect(hits + spans[left].size).to eq(total)
    expect(hits).to be > total / 2
    expect(ids.tally.values.max).to eq(1)
    expect(ids.count(&:odd?)).to eq(total / 2)
    expect(spans[computed].map { |span| span["span_id"] }).to all be_odd
  end

  it "sends sampled spans once by OTLP" do
    accepted = storm(script, info, ->(url) { { otlp_endpoint: url, otlp_protocol: "http/json" } })
    spans = accepted.flat_map { |request| JSON.parse(request.body)["resourceSpans"] }
                    .flat_map { |resource| resource["scopeSpans"] }.flat_map { |scope| scope["spans"] }
    ids = spans.map { |span| span["spanId"].hex }

    expect(ids.tally.values.max).to eq(1)
    expect(ids).to all be_odd
    expect(ids.size).to eq(total / 2)
  end
end
