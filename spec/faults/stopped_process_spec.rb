# frozen_string_literal: true

# A process that is stopped by a signal, as containers and virtual machines are when they are paused or moved.
RSpec.describe "Faults: a process that was stopped" do
  include_context "with an agent"

  # Stops the process of the script while its second request is under way, and lets the agent answer meanwhile.
  def stop_during_a_request(script, stopped_for:)
    arrived, answer = Array.new(2) { Queue.new }
    agent.respond_with do |request|
      next unless request.traces.flatten.any? { |span| span["name"] == "slow" }

      arrived << true
      answer.pop
      nil
    end
    Open3.popen2(RbConfig.ruby, "-I", Support::Processes::LIB, "-e", script, agent.url) do |_, output, process|
      arrived.pop
      Process.kill(:STOP, process.pid)
      answer << true
      # What the process has to get over is time.
      sleep stopped_for
      Process.kill(:CONT, process.pid)
      output.read
    end
  end

  it "reads the answer that came meanwhile, and sends nothing again" do
    output = stop_during_a_request(<<~RUBY, stopped_for: 1.5)
      require "datadog/native_export"
      include Datadog::NativeExport
      exporter = Exporter.new(agent_url: ARGV[0], agent_timeout: 1, retry_deadline: 1)
      %w[first slow].each.with_index(1) do |name, id|
        exporter.export(TraceChunks.new.begin_chunk << Span.new(name: name, trace_id: id, span_id: id, start: 0, duration: 0))
        exporter.flush(timeout: 20)
      end
      print exporter.stats.values_at(:spans_sent, :spans_dropped, :retries)
    RUBY

    expect(output).to eq("[2, 0, 0]")
    expect(agent.spans.map { |span| span["name"] }).to eq(%w[first slow])
  end
end
