# frozen_string_literal: true

RSpec.describe Datadog::NativeExport::Exporter, "#stats" do
  include_context "with an agent"

  it "gives frozen statistics that add up" do
    stats = build_exporter.stats

    expect(stats).to be_frozen.and include(dropped: be_frozen)
    expect(stats.keys).to contain_exactly(
      :spans_queued, :spans_in_flight, :chunks_queued, :bytes_queued, :spans_exported, :spans_sent, :spans_sampled_out,
      :spans_dropped, :stats_payloads_sent, :stats_payloads_dropped,
      :dropped, :values_repaired, :values_left_out, :payloads_sent, :bytes_sent, :retries, :last_error,
      :send_time_p50, :send_time_max
    )
  end

  it "counts the bytes it sent" do
    exporter = build_exporter
    exporter.export(build_chunks(3))
    exporter.flush(timeout: 5)

    sent = agent.requests.find(&:trace_request?)
    expect(exporter.stats).to include(bytes_sent: sent.body.bytesize, payloads_sent: 1)
  end

  it "tells how long the agent takes" do
    exporter = build_exporter
    expect(exporter.stats).to include(send_time_p50: nil, send_time_max: nil)
    agent.respond_with { sleep(0.1) && nil }
    exporter.send_trace_chunks(build_chunks(1), timeout: 5)

    expect(exporter.stats).to include(send_time_p50: be_between(0.1, 2), send_time_max: be_between(0.1, 2))
  end

  it "gives the agent's latest rates, and the same Hash until they change" do
    exporter = build_exporter
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
