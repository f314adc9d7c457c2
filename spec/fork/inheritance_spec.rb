# frozen_string_literal: true

require_relative "../support/fault_agent"

# What a child has of its parent, and what the parent keeps.
RSpec.describe "A process that forks" do
  include_context "with an agent"

  let(:exporter) { build_exporter(flush_interval: 3_600) }

  def descriptors
    Dir.children("/proc/self/fd").filter_map do |number|
      "#{File.readlink("/proc/self/fd/#{number}")} as #{number}"
    rescue Errno::ENOENT
      # That of the directory.
    end
  end

  it "while a thread waits for an answer leaves that alone" do
    Support::FaultAgent.start do |faulty|
      patient = build_exporter(faulty.url, agent_timeout: 30)
      go_on = Queue.new
      faulty.script({ wait: go_on })
      sending = Thread.new { patient.send_trace_chunks(build_chunks(1), timeout: 30) }
      wait_until { faulty.attempts.any? }
      delivered = in_child { patient.export(build_chunks(1)) && patient.flush(timeout: 10) && patient.stats }
      go_on << true

      expect(delivered).to include(spans_exported: 1, spans_sent: 1)
      expect(sending.value).to be_ok
      expect([faulty.received, faulty.problems]).to eq([{ 1 => 2 }, []])
    end
  end

  it "counts the child's spans from 0" do
    exporter.export(build_chunks(1))
    child = in_child { exporter.export(build_chunks(2)) && exporter.stats }

    expect([exporter.stats, child]).to match([a_hash_including(spans_exported: 1), a_hash_including(spans_exported: 2)])
  end

  it "has both send spans and chunks that were built before" do
    chunks = build_chunks(1, name: "in chunks")
    span = build_span(name: "alone")
    send_both = lambda do
      [chunks, Datadog::NativeExport::TraceChunks.new.begin_chunk << span].map do |built|
        exporter.send_trace_chunks(built, timeout: 10).ok?
      end
    end

    expect([in_child(&send_both), send_both.call]).to eq([[true, true], [true, true]])
    expect(agent.spans.map { |sent| sent["name"] }.tally).to eq("in chunks" => 2, "alone" => 2)
  end

  it "keeps its connections and its epoll, and the child makes its own" do
    exporter.send_trace_chunks(build_chunks(1), timeout: 10)
    own = descriptors
    added, closed = in_child do
      inherited = descriptors
      exporter.send_trace_chunks(build_chunks(1), timeout: 10)
      [descriptors - inherited, inherited - descriptors]
    end

    expect(added).to include(/eventpoll/, /socket/, /eventfd/)
    expect(closed).to eq([])
    expect(exporter.send_trace_chunks(build_chunks(1), timeout: 10)).to be_ok
    # The agent runs in this process, and has one more connection: the child's.
    expect(own - descriptors).to eq([])
  end

  it "collects inherited exporters without touching what they hold" do
    exporters = Array.new(20) { Datadog::NativeExport::Exporter.new(agent_url: agent.url, flush_interval: 3_600) }
    exporters.each { |inherited| inherited.export(build_chunks(1)) }
    collected = in_child do
      alive = -> { ObjectSpace.each_object(Datadog::NativeExport::Exporter).count }
      before = alive.call
      exporters.clear
      GC.start
      before - alive.call
    end

    expect(collected).to be > 10
    exporters.each { |inherited| inherited.flush(timeout: 10) }
    expect(agent.spans.size).to eq(20)
  end

  it "keeps a closed exporter closed" do
    exporter.shutdown(timeout: 5)
    expect(in_child { [exporter.closed?, exporter.export(build_chunks(1)), exporter.shutdown(timeout: 1)] })
      .to eq([true, false, true])
  end
end
