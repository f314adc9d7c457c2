# frozen_string_literal: true

require_relative "../support/scripted_server"

# OTLP with a collector that fails.
RSpec.describe Datadog::NativeExport::Exporter, "OTLP" do
  def with_collector(answer = nil, &) = Support::ScriptedServer.start(answer, &)

  def exporter(url, **options)
    build_exporter(nil, otlp_endpoint: url, otlp_protocol: "http/json", **options)
  end

  def expect_counts_to_add_up(stats)
    settled = stats.values_at(:spans_sent, :spans_sampled_out, :spans_dropped, :spans_queued, :spans_in_flight).sum
    expect(stats[:spans_exported]).to eq(settled)
  end

  it "sends again what is refused for now" do
    answers = [[503, {}, "busy"], [429, { "Retry-After" => "0" }, "busy"]]
    with_collector(->(_) { answers.shift }) do |collector|
      exporter = exporter(collector.url)

      expect(exporter.send_trace_chunks(build_chunks(2), timeout: 10)).to be_ok
      expect(collector.requests.map(&:path)).to eq(["/v1/traces"] * 3)
      expect(exporter.stats).to include(spans_sent: 2, retries: 2)
    end
  end

  it "counts what a collector refuses, with the collector's name" do
    with_collector(->(request) { [401, {}, "who is #{request.headers["authorization"]}"] }) do |collector|
      exporter = exporter(collector.url, otlp_headers: { "Authorization" => "Bearer s3cr3t" })
      response = exporter.send_trace_chunks(build_chunks(2, 1), timeout: 10)

      expect(response).to have_attributes(ok?: false, status: 401, loss: :refused, accepted_count: 0)
      expect(response.error.message).to end_with("collector at #{collector.url} answered 401 Unauthorized: who is …")
      expect_counts_to_add_up(exporter.stats)
    end
  end

  it "counts what a collector rejects of a request that it accepts" do
    answer = JSON.generate(partialSuccess: { rejectedSpans: "1", errorMessage: "too old" })
    with_collector(->(_) { [200, { "Content-Type" => "application/json" }, answer] }) do |collector|
      exporter = exporter(collector.url)
      response = exporter.send_trace_chunks(build_chunks(1, 1), timeout: 10)

      expect(response).to have_attributes(ok?: false, status: 200, loss: :refused, accepted_count: 1)
      expect(response.error.message).to end_with("rejected 1 spans of a request: too old")
      expect(exporter.stats).to include(spans_sent: 1, spans_dropped: 1)
      expect_counts_to_add_up(exporter.stats)
    end
  end

  it "makes no request for unsampled traces, and none for /info" do
    with_collector do |collector|
      exporter = exporter(collector.url)
      response = exporter.send_trace_chunks(build_chunks(2, metrics: { "_sampling_priority_v1" => 0 }), timeout: 10)

      expect(response).to have_attributes(ok?: true, status: nil, payload: "", accepted_count: 0, sampled_out_count: 1)
      expect(collector.requests).to be_empty
      expect(exporter.stats).to include(spans_sampled_out: 2, spans_sent: 0, payloads_sent: 0)
    end
  end

  it "gives up a collector that hangs after otlp_timeout and retry_deadline" do
    hung_agent do |url|
      exporter = exporter(url, otlp_timeout: 0.2, retry_deadline: 0.1)
      response = exporter.send_trace_chunks(build_chunks(1), timeout: 10)

      expect(response).to have_attributes(ok?: false, status: nil, loss: :unreachable)
      expect(response.error.message).to match(/\Athe OTLP collector at #{url} cannot be reached: no answer within 0.2/)
      expect_counts_to_add_up(exporter.stats)
    end
  end

  it "has each process send its own spans, until its end" do
    with_collector do |collector|
      script = <<~RUBY
        include Datadog::NativeExport
        EXPORTER = Exporter.new(otlp_endpoint: ARGV[0], otlp_protocol: "http/json", flush_interval: 3_600,
                                shutdown_timeout: 20)
        def export(id) = EXPORTER.export(TraceChunks.new.begin_chunk <<
          Span.new(name: "job", trace_id: 1, span_id: id, start: Time.now, duration: 1))
        export(1)
        children = [2, 3].map { |id| fork { export(id) } }
        children.each { |pid| Process.wait(pid) }
      RUBY
      _, errors, status = run_ruby(script, collector.url)

      expect([errors, status.exitstatus]).to eq(["", 0])
      expect(collector.otlp_spans.map { |span| span["spanId"].hex }).to contain_exactly(1, 2, 3)
    end
  end

  it "says at the end of a process what did not reach the collector" do
    hung_agent do |url|
      _, errors, = run_ruby(<<~RUBY, url)
        include Datadog::NativeExport
        Exporter.new(otlp_endpoint: ARGV[0], shutdown_timeout: 0.2).export(TraceChunks.new.begin_chunk <<
          Span.new(name: "job", trace_id: 1, span_id: 1, start: Time.now, duration: 1))
      RUBY

      expect(errors).to match(/1 spans are lost: the process ends, on their way to #{url}/)
    end
  end
end
