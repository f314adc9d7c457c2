# frozen_string_literal: true

begin
  require "async"
rescue LoadError
  raise "async must be at hand in CI" if ENV["CI"]
end

RSpec.describe Datadog::NativeExport::Exporter, "under a Fiber scheduler" do
  before { skip "the gem async is not at hand" unless defined?(Async) }

  include_context "with an agent"

  let(:answer) { Queue.new }
  let(:exporter) { build_exporter(agent_timeout: 30) }

  before do
    agent.respond_with do
      answer.pop
      nil
    end
  end

  after { answer.close }

  {
    "flush" => ->(exporter, _) { exporter.flush(timeout: 5) },
    "shutdown" => ->(exporter, _) { exporter.shutdown(timeout: 5) },
    "send_trace_chunks" => ->(exporter, chunks) { exporter.send_trace_chunks(chunks, timeout: 5).ok? }
  }.each do |name, call|
    it "has other fibers go on during #{name}" do
      exporter.export(build_chunks(1))
      done = Sync do |task|
        waiting = task.async { call.call(exporter, build_chunks(1)) }
        # Comes to run only when the other has let go of the thread.
        task.async { answer.close }
        waiting.wait
      end

      expect(done).to be(true)
    end
  end

  it "gives up the wait, but not what is being sent, when the fiber is interrupted" do
    exporter.export(build_chunks(1))
    threads = Thread.list
    Sync do |task|
      expect { task.with_timeout(0.1) { exporter.flush(timeout: 30) } }.to raise_error(Async::TimeoutError)
    end
    # But for those of the agent.
    wait_until { (Thread.list - threads).none? { |thread| thread.inspect.include?("native_export/fibers") } }
    answer.close

    expect(exporter.flush(timeout: 10)).to be(true)
    expect(agent.spans.size).to eq(1)
  end

  it "raises what is wrong with a call where that was made" do
    exporter.shutdown
    expect { Sync { exporter.flush } }.to raise_error(Datadog::NativeExport::ClosedError) { |error|
      expect(error.backtrace.join("\n")).to include(__FILE__)
    }
  end
end
