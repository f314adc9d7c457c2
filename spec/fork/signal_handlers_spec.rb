# frozen_string_literal: true

require_relative "../support/forking"

RSpec.describe "A fork in a signal handler that interrupts" do
  include_context "with a script that forks"

  # Asks for the fork when the parent's span is there, and keeps the parent waiting for the answer until the
  # child's has come.
  before do
    agent.respond_with do |request|
      span = request.traces.dig(0, 0)
      next if span["span_id"] != 1 || agent.spans.any?

      Process.kill("USR1", Integer(span["meta"]["pid"]))
      agent.wait_for(spans: 1, timeout: 20)
      nil
    end
  end

  {
    "a flush" => "export(1); EXPORTER.flush(timeout: 30) or abort('no answer'); reap(pid)",
    "a send" => "EXPORTER.send_trace_chunks(chunks(1), timeout: 30).ok? or abort('no answer'); reap(pid)",
    "its end" => "export(1)"
  }.each do |what, wait|
    it "#{what} goes on with that, and the child is not held up" do
      run_in_peace(<<~RUBY)
        pid = nil
        trap("USR1") do
          pid = fork do
            export(2)
            EXPORTER.flush(timeout: 30)
          end
        end
        #{wait}
      RUBY

      expect(agent.spans.map { |span| span["span_id"] }).to eq([2, 1])
      expect_own_spans_from_each
    end
  end

  it "a flush ends that in a child which returns from the handler" do
    run_in_peace(<<~RUBY)
      parent = Process.pid
      pid = nil
      trap("USR1") { pid = fork }
      export(1)
      flushed = EXPORTER.flush(timeout: 30)
      if Process.pid == parent
        reap(pid)
        abort "no answer" unless flushed
      else
        abort "the parent's spans are answered for in the child" if flushed
        export(2)
      end
    RUBY

    expect(agent.spans.map { |span| span["span_id"] }).to eq([2, 1])
    expect_own_spans_from_each
  end
end
