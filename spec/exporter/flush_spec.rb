# frozen_string_literal: true

RSpec.describe Datadog::NativeExport::Exporter, "#flush" do
  include_context "with an agent"

  it "is done when everything queued before has been answered for" do
    exporter = build_exporter(flush_interval: 3_600)
    5.times { exporter.export(build_chunks(1)) }

    expect(exporter.flush(timeout: 5)).to be(true)
    expect(agent.spans.size).to eq(5)
    expect(exporter.stats).to include(spans_sent: 5, spans_queued: 0, bytes_queued: 0)
  end

  it "gives up at the timeout, with an agent that hangs" do
    hung_agent do |url|
      exporter = build_exporter(url)
      exporter.export(build_chunks(1))

      expect(elapsed { expect(exporter.flush(timeout: 0.2)).to be(false) }).to be_between(0.2, 2)
    end
  end

  it "has nothing to wait for before the first export" do
    expect(build_exporter("http://127.0.0.1:1").flush(timeout: 0)).to be(true)
  end

  it "can be interrupted" do
    hung_agent do |url|
      exporter = build_exporter(url)
      exporter.export(build_chunks(1))
      waiter = Thread.new { exporter.flush(timeout: 30) }
      wait_until { waiter.stop? }

      expect(waiter.kill.join(10)).to be(waiter)
      flush = -> { Timeout.timeout(0.1) { exporter.flush(timeout: 30) } }
      expect(elapsed { expect(&flush).to raise_error(Timeout::Error) }).to be < 10
    end
  end

  it "waits on after a signal that is merely handled" do
    hung_agent do |url|
      exporter = build_exporter(url)
      exporter.export(build_chunks(1))
      handled = 0
      previous = trap("USR1") { handled += 1 }
      waiting = Thread.current
      killer = Thread.new do
        3.times do |before|
          wait_until { waiting.stop? }
          Process.kill("USR1", Process.pid)
          wait_until { handled > before }
        end
      end

      expect(elapsed { expect(exporter.flush(timeout: 1)).to be(false) }).to be >= 1
      killer.join
      expect(handled).to eq(3)
    ensure
      trap("USR1", previous)
    end
  end

  it "refuses what is no time", :untyped do
    expect { build_exporter.flush(timeout: "1") }.to raise_error(TypeError, /timeout: expected seconds/)
    expect { build_exporter.flush(timeout: -1) }.to raise_error(ArgumentError, /timeout: expected 0 or more/)
  end

  # Threads of a process but for the sender's, and for Ruby's timer, which may start at any time.
  def threads_of(pid)
    Dir["/proc/#{pid}/task/*/comm"].map { |path| File.read(path) }.grep_v(/\Add-native|timer/).size
  end

  # Flushes in a forked process, with the given number of other threads, and yields once it waits, with the number of
  # its threads before. What is returned is when that was interrupted.
  def interrupted(threads)
    hung_agent do |url|
      reader, writer = IO.pipe
      pid = Process.fork do
        # Taken away, so that RSpec's own handler does not run.
        trap("INT", "DEFAULT")
        threads_before = threads_of("self")
        exporter = build_exporter(url)
        exporter.export(build_chunks(1))
        threads.times { Thread.new { sleep } }
        writer.putc(threads_before)
        exporter.flush(timeout: 30)
      rescue Interrupt
        writer << now
      ensure
        exit!(0)
      end
      writer.close
      threads_before = reader.readbyte
      wait_until { File.read("/proc/#{pid}/stat")[/\) (\w)/, 1] == "S" }
      yield pid, threads_before
      Process.wait(pid)
      Float(reader.read)
    end
  end

  [0, 1].each do |threads|
    it "gives way to Ctrl-C, with #{threads} other threads alive" do
      sent = nil
      interrupted = interrupted(threads) do |pid|
        sent = now
        Process.kill("INT", pid)
      end
      expect(interrupted - sent).to be < 10
    end
  end

  it "starts no thread to wait" do
    interrupted(0) do |pid, threads_before|
      # The sender's have their names once they run.
      wait_until { threads_of(pid) == threads_before }
    ensure
      Process.kill("INT", pid)
    end
  end
end
