# frozen_string_literal: true

require_relative "../support/test_agent"

# Statistics that the exporter computes, as Datadog's own test agent receives and decodes them.
RSpec.describe "Statistics at ddapm-test-agent" do
  include_context "with ddapm-test-agent"

  let(:exporter) do
    build_exporter(agent.url, test_session_token: token, stats: true, service: "shop", env: "prod", version: "1.2",
                              hostname: "host", runtime_id: "d1c8", git_commit_sha: "beef")
  end

  # Counts and medians of sketches, read with the schema and the code that Datadog publishes.
  def read_sketches(sketches)
    python = File.join(File.dirname(Support::TestAgent::EXECUTABLE), "python")
    lines = sketches.map { |sketch| sketch.unpack1("H*") }.join("\n")
    output, status = Open3.capture2(python, "-c", <<~PYTHON, stdin_data: lines)
      import sys
      from ddsketch.pb.ddsketch_pb2 import DDSketch
      from ddsketch.pb.proto import DDSketchProto
      for line in sys.stdin:
          sketch = DDSketchProto.from_proto(DDSketch.FromString(bytes.fromhex(line)))
          print(sketch.count, sketch.get_quantile_value(0.5))
    PYTHON
    expect(status).to be_success
    output.lines.map { |line| line.split.map(&:to_f) }
  end

  def span(duration = 1_000_000, priority: 1, **fields)
    build_span(name: "web.request", resource: "GET /", type: "web", start: Time.now, duration:,
               metrics: { "_sampling_priority_v1" => priority }, **fields)
  end

  # One trace for each span.
  def export(*spans)
    chunks = Datadog::NativeExport::TraceChunks.new
    spans.each { |span| chunks.begin_chunk << span }
    exporter.export(chunks)
  end

  def flush = expect(exporter.flush(timeout: 10)).to be(true)

  def trace_requests = agent.requests(token).select { |request| request["url"].end_with?("/v0.4/traces") }

  def computed?(request)
    request["headers"].transform_keys(&:downcase)["datadog-client-computed-stats"] == "true"
  end

  # Spans of a resource that an agent counts itself.
  def left_to_agent(resource)
    requests = trace_requests.reject { |request| computed?(request) }
    requests.flat_map { |request| MessagePack.unpack(request["body"]).flatten(1) }
            .count { |span| span["resource"] == resource }
  end

  def payloads
    agent.requests(token).select { |request| request["url"].end_with?("/v0.6/stats") }
         .map { |request| MessagePack.unpack(request["body"]) }
  end

  # What the agent has summed up of a resource, in all of its buckets.
  def summed(resource)
    groups = agent.stats(token).flat_map { |payload| payload["Stats"] }.flat_map { |bucket| bucket["Stats"] }
    groups.select! { |group| group["Resource"] == resource }
    %w[Hits TopLevelHits Errors Duration].to_h { |name| [name, groups.sum { |group| group[name] }] }
  end

  it "count sampled and unsampled traces, of which only the former are sent" do
    export(*Array.new(3) { |i| span(trace_id: 1 + i) }, *Array.new(4) { |i| span(trace_id: 9 + i, priority: 0) },
           span(trace_id: 20, resource: "GET /other", error: 1, priority: 0))
    flush

    expect(summed("GET /")).to eq("Hits" => 7, "TopLevelHits" => 7, "Errors" => 0, "Duration" => 7_000_000)
    expect(summed("GET /other")).to include("Hits" => 1, "Errors" => 1)
    expect(agent.traces(token).size).to eq(4)
    expect(exporter.stats).to include(spans_exported: 8, spans_sent: 4, spans_sampled_out: 4, spans_dropped: 0,
                                      stats_payloads_sent: 1, stats_payloads_dropped: 0)
  end

  it "say that the agent need not compute any, from the first payload on" do
    2.times { exporter.send_trace_chunks(build_chunks(1), timeout: 10) }

    expect(trace_requests.map { |request| computed?(request) }).to eq([true, true])
  end

  it "arrive by a Unix socket" do
    exporter = build_exporter("unix://#{agent.socket}", test_session_token: token, stats: true)
    exporter.export(build_chunks(1, start: Time.now))

    expect(exporter.flush(timeout: 10)).to be(true)
    expect(exporter.stats).to include(spans_sent: 1, stats_payloads_sent: 1)
    expect(payloads.size).to eq(1)
  end

  it "say whose they are" do
    export(span)
    flush

    expect(payloads).to match([a_hash_including(
      "Service" => "shop", "Env" => "prod", "Version" => "1.2", "Hostname" => "host", "RuntimeID" => "d1c8",
      "GitCommitSha" => "beef"
    )])
  end

  it "have durations as sketches" do
    export(*[1, 2, 3].map { |ms| span(ms * 1_000_000, trace_id: ms) })
    flush
    groups = payloads.flat_map { |payload| payload["Stats"] }.flat_map { |bucket| bucket["Stats"] }
    sketches = read_sketches(groups.map { |group| group["OkSummary"] })

    expect(sketches.sum(&:first)).to eq(3)
    # Unless the time of a bucket ended in between.
    expect(sketches[0][1]).to be_within(0.02 * 2_000_000).of(2_000_000) if sketches.size == 1
  end

  # A process that ends before the agent has answered leaves them to the agent.
  it "count each process's own spans once, whichever way it ends" do
    script = <<~RUBY
      include Datadog::NativeExport
      EXPORTER = Exporter.new(agent_url: ARGV[0], test_session_token: ARGV[1], stats: true, shutdown_timeout: 20)
      def export(resource)
        EXPORTER.export(TraceChunks.new.begin_chunk << Span.new(
          name: "job", service: "shop", resource: resource, trace_id: 1, span_id: 1, start: Time.now, duration: 5,
          metrics: { "_sampling_priority_v1" => 0 }))
      end
      export("parent")
      EXPORTER.flush(timeout: 20) if ARGV[2] == "counted"
      children = Array.new(2) { fork { 3.times { export("child") } } }
      children << fork { export("child"); EXPORTER.shutdown(timeout: 20); exit! }
      children.each { |pid| Process.wait(pid) }
    RUBY
    %w[counted uncounted].each { |state| expect(run_ruby(script, agent.url, token, state)[2]).to be_success }

    expect(summed("parent")["Hits"] + left_to_agent("parent")).to eq(2)
    expect(summed("child")["Hits"] + left_to_agent("child")).to eq(14)
    expect(summed("parent")["Hits"]).to be >= 1
    expect(payloads.map { |payload| payload["RuntimeID"] }.uniq.size).to be_between(3, 8)
  end
end
