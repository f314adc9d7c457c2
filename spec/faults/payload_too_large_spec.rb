# frozen_string_literal: true

require_relative "../support/faults"

# What the agent answers with 413.
RSpec.describe "Faults: a payload that is too large" do
  include_context "with a faulty agent"

  it "is split between chunks, as often as it takes" do
    agent.max_body_bytes = 4_000
    exporter.export(chunks(*([1] * 16), meta: { "k" => "x" * 1_000 }))

    expect_flush
    expect_outcome(sent: 16)
    taken = agent.attempts.select(&:delivered)
    expect(taken.map { |attempt| attempt.body.bytesize }).to all(be <= 4_000)
    expect(exporter.stats).to include(payloads_sent: taken.size, bytes_sent: taken.sum { |one| one.body.bytesize })
  end

  it "arrives in parts of which each chunk and each header is the same" do
    span = lambda do
      build_span(span_id: @next_id += 1, meta: { "k" => "é" * 200 }, metrics: { "m" => -1.5 },
                 meta_struct: { "s" => [1] })
        .add_link(trace_id: 1 << 100, span_id: 1, attributes: { "a" => "b" }, tracestate: "c")
        .add_event(name: "e", time_unix_nano: 1, attributes: { "list" => [1, 2], "t" => true, "d" => 1.5 })
    end
    all = Datadog::NativeExport::TraceChunks.new
    [3, 1, 20, 2, 1].each { |spans| all.begin_chunk && spans.times { all << span.call } }
    agent.script(*Array.new(3) { { status: 413 } })
    exporter.export(all)

    expect_flush
    expect_outcome(sent: 27)
    whole, *parts = agent.attempts
    expect(parts.select(&:delivered).flat_map(&:traces)).to match_array(whole.traces)
    expect(parts.map { |part| part.headers.except("x-datadog-trace-count", "content-length") })
      .to all(eq(whole.headers.except("x-datadog-trace-count", "content-length")))
  end

  it "costs the chunk that is too large on its own, and that alone" do
    agent.max_body_bytes = 4_000
    exporter.export(chunks(1, 1, 1, 3, 1, 1, 1, 1, meta: { "k" => "x" * 1_500 }))

    expect_flush
    expect_outcome(sent: 7, too_large: 3)
    expect(agent.received.keys).to match_array([1, 2, 3, 7, 8, 9, 10])
    expect(exporter.stats).to include(last_error: match(/413/), retries: 0)
  end

  it "is told to who waits for it" do
    agent.max_body_bytes = 4_000
    response = exporter.send_trace_chunks(chunks(1, 3, 1, meta: { "k" => "x" * 1_500 }), timeout: 30)

    expect(response).to have_attributes(ok?: false, status: 413, loss: :too_large, client_error?: true,
                                        trace_count: 3, accepted_count: 2)
    expect_outcome(sent: 2, too_large: 3)
  end

  it "may be refused before it has been read" do
    agent.script({ status: 413, early: true })
    exporter.export(chunks(1, 1, 1, meta: { "k" => "x" * 1_000_000 }))

    expect_flush
    expect_outcome(sent: 3)
  end
end
