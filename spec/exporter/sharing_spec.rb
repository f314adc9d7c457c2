# frozen_string_literal: true

RSpec.describe Datadog::NativeExport::Exporter, "when it is shared" do
  include_context "with an agent"

  it "takes chunks from many threads" do
    exporter = build_exporter
    threads = Array.new(8) { Thread.new { 50.times { exporter.export(build_chunks(2, 1)) } } }
    threads.each(&:join)

    expect(exporter.flush(timeout: 10)).to be(true)
    expect(agent.spans.size).to eq(8 * 50 * 3)
    expect(exporter.stats).to include(spans_sent: 1_200, spans_dropped: 0)
  end

  it "takes chunks from many Ractors, frozen" do
    output, errors, status = run_ruby(<<~RUBY, agent.url)
      Warning[:experimental] = false
      exporter = Datadog::NativeExport::Exporter.new(agent_url: ARGV[0], logger: Logger.new(nil))
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

  it "is made by any Ractor, for any receiver" do
    output, errors, = run_ruby(<<~RUBY)
      Warning[:experimental] = false
      receivers = [{ agent_url: "http://127.0.0.1:1" }, { otlp_endpoint: "http://127.0.0.1:1" }]
      print receivers.map { |receiver|
        Ractor.new(receiver) { |receiver| Datadog::NativeExport::Exporter.new(**receiver).otlp_endpoint }.take
      }.inspect
    RUBY

    expect([output, errors]).to eq(['[nil, "http://127.0.0.1:1/v1/traces"]', ""])
  end

  it "loses nothing to an agent that is merely slow" do
    exporter = build_exporter(flush_interval: 0.02, retry_deadline: 0.5)
    agent.respond_with { sleep(0.2) && nil }
    sent = Array.new(8) do |i|
      Thread.new { exporter.send_trace_chunks(build_chunks(1, trace_id: i + 1), timeout: 10).ok? }
    end

    expect(sent.map(&:value)).to all(be(true))
    expect(exporter.stats).to include(spans_sent: 8, spans_dropped: 0)
  end

  it "has one owner" do
    expect { build_exporter.dup }.to raise_error(TypeError, /can't copy/)
  end
end
