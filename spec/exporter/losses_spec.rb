# frozen_string_literal: true

require "logger"
require "stringio"

RSpec.describe Datadog::NativeExport::Exporter, "and its logger" do
  include_context "with an agent"

  let(:log) { StringIO.new }
  let(:logger) { Logger.new(log) }

  it "counts all that it loses, and tells once that it does" do
    exporter = build_exporter("http://127.0.0.1:#{free_port}", logger:, retry_deadline: 0.3)
    20.times { exporter.export(build_chunks(5)) }

    expect(exporter.flush(timeout: 10)).to be(true)
    expect(exporter.stats).to include(spans_exported: 100, spans_sent: 0, spans_dropped: 100)
    expect(exporter.stats[:dropped]).to include(unreachable: 100)
    expect(log.string.lines).to match([/Spans are being lost \(unreachable\)/])
  end

  it "tells that the agent is back, with the number that was lost" do
    exporter = build_exporter(logger:)
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

  it "keeps its lines for later when it is used in a signal handler" do
    exporter = build_exporter(logger:)
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
end
