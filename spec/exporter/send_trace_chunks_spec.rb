# frozen_string_literal: true

RSpec.describe Datadog::NativeExport::Exporter, "#send_trace_chunks" do
  include_context "with an agent"

  it "returns the agent's answer" do
    response = build_exporter.send_trace_chunks(build_chunks(1, 2), timeout: 5)

    expect(response).to have_attributes(
      ok?: true, trace_count: 2, status: 200, error: nil, service_rates: { "service:,env:" => 1.0 },
      payload: include("rate_by_service"), internal_error?: false, server_error?: false, client_error?: false
    )
    expect(agent.traces.map(&:size)).to eq([1, 2])
  end

  it "says how the agent refused" do
    agent.respond_with(404, {}, "no such version")
    response = build_exporter.send_trace_chunks(build_chunks(1), timeout: 5)

    expect(response).to have_attributes(
      ok?: false, not_found?: true, client_error?: true, server_error?: false, internal_error?: false,
      status: 404, loss: :refused, payload: "no such version", service_rates: nil
    )
    expect(response.error).to be_a(Datadog::NativeExport::Error)
    expect(response.error.message).to match(/#{agent.url} answered 404 Not Found: no such version/)
  end

  it "does not repeat what can't succeed, and repeats what may" do
    answers = [503, 429, 408]
    agent.respond_with { answers.shift }
    exporter = build_exporter

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
    exporter = build_exporter("http://127.0.0.1:#{free_port}", retry_deadline: 0.3)
    response = exporter.send_trace_chunks(build_chunks(1), timeout: 10)

    expect(response).to have_attributes(ok?: false, internal_error?: true, status: nil, loss: :unreachable)
    expect(response.error.message).to match(/cannot be reached: .*[Cc]onnect/)
  end

  it "gives up waiting at the timeout; the chunks stay on their way" do
    release = Queue.new
    agent.respond_with { release.pop }
    exporter = build_exporter
    response = nil

    expect(elapsed { response = exporter.send_trace_chunks(build_chunks(1), timeout: 0.2) }).to be_between(0.2, 2)
    expect(response).to have_attributes(ok?: false, internal_error?: true,
                                        error: an_instance_of(Datadog::NativeExport::TimeoutError))
    release << nil
    expect(exporter.flush(timeout: 5)).to be(true)
    expect(exporter.stats).to include(spans_exported: 1, spans_sent: 1, spans_dropped: 0)
  end

  it "lets other threads run while it waits" do
    hung_agent do |url|
      sending = Thread.new { build_exporter(url).send_trace_chunks(build_chunks(1), timeout: 30) }
      wait_until { sending.stop? }
      # This thread goes on before that one is done.
      expect(sending).to be_alive
      sending.kill.join
    end
  end

  it "raises after shutdown" do
    exporter = build_exporter
    exporter.shutdown(timeout: 5)

    expect { exporter.send_trace_chunks(build_chunks(1)) }.to raise_error(Datadog::NativeExport::ClosedError)
    expect { exporter.flush }.to raise_error(Datadog::NativeExport::ClosedError)
  end

  it "answers for chunks that find no room" do
    response = build_exporter(max_queue_spans: 1).send_trace_chunks(build_chunks(1, 1), timeout: 5)

    expect(response).to have_attributes(ok?: false, internal_error?: true, loss: :queue_full)
    expect(agent.spans.size).to eq(1)
  end
end
