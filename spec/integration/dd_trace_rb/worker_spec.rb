# frozen_string_literal: true

require_relative "../../support/dd_trace_rb"

# Requests only queue their traces: what else is done with them, a thread of this gem does.
RSpec.describe "Threads that trace with dd-trace-rb and native export" do
  include_context "with dd-trace-rb"

  script = <<~RUBY
    require "datadog/native_export/testing"
    RECEIVER = Datadog::NativeExport::Testing::Agent.start
    # Remembers which threads format traces, and holds up the worker while the gate is shut.
    module Formatting
      class << self
        attr_accessor :gate
        def threads = @threads ||= []
      end

      def format!(trace)
        Formatting.threads << Thread.current
        Formatting.gate&.pop if Thread.current.name.to_s.include?("NativeExport traces")
        super
      end
    end
    Datadog::Tracing::Transport::TraceFormatter.singleton_class.prepend(Formatting)
    Child.configure(port: RECEIVER.url[/\\d+\\z/])
    def workers = Thread.list.count { |thread| thread.name.to_s.include?("NativeExport traces") }
    def names = RECEIVER.spans.map { |span| span["name"] }.tally
  RUBY

  define_method(:told) { |code, errors: 0| report("enable", "#{script}\n#{code}", errors:) }

  it "neither format nor lower" do
    told = told(<<~RUBY)
      before = workers
      threads = Array.new(4) { Thread.new { Child.trace("request"); Thread.current } }.map(&:value)
      Child.trace("main")
      Child.flush
      puts JSON.generate(before: before, names: names, by: (Formatting.threads & [*threads, Thread.current]).size,
                         on: Formatting.threads.uniq.size, workers: workers)
    RUBY

    expect(told).to eq("before" => 0, "names" => { "request" => 4, "main" => 1 }, "by" => 0, "on" => 1, "workers" => 1)
  end

  it "do so themselves, and lose nothing, where the worker can't keep up" do
    told = told(<<~RUBY)
      Formatting.gate = Queue.new
      Child.trace("held")
      Child.wait_until { Formatting.gate.num_waiting == 1 }
      1_100.times { Child.trace("row") }
      own = Formatting.threads.count(Thread.current)
      Formatting.gate.close
      Child.flush
      puts JSON.generate(own: own, names: names, dropped: Child.writer.stats[:traces_dropped])
    RUBY

    expect(told).to eq("own" => 100, "names" => { "held" => 1, "row" => 1_100 }, "dropped" => 0)
  end

  it "may be handling a signal, also where there is no worker yet" do
    told = told(<<~RUBY)
      handled = false
      writer = Child.writer
      # The tracer itself can't begin a trace in a signal handler.
      span = Datadog::Tracing::Span.new("signal", trace_id: 1, start_time: Time.now, duration: 1)
      trace = Datadog::Tracing::TraceSegment.new([span], id: 1)
      trap("USR1") { writer.write(trace); handled = true }
      Process.kill("USR1", Process.pid)
      Child.wait_until { handled }
      Child.flush
      puts JSON.generate(names: names)
    RUBY

    expect(told).to eq("names" => { "signal" => 1 })
  end

  it "may be the worker itself, which calls subscribers" do
    told = told(<<~RUBY)
      told = false
      tell = lambda do
        Child.trace("outcome") unless told
        told = true
      end
      Child.writer.instance_variable_get(:@worker).instance_variable_set(:@poll, tell)
      Child.trace("request")
      Child.wait_until { told }
      Child.flush
      puts JSON.generate(names: names)
    RUBY

    expect(told).to eq("names" => { "request" => 1, "outcome" => 1 })
  end

  it "lose nothing where the worker is interrupted" do
    told = told(<<~RUBY)
      # By an exception as soon as a trace was taken, and by `kill` at any moment.
      queue = Child.writer.instance_variable_get(:@worker).send(:present).queue
      interruptions = 0
      queue.define_singleton_method(:pop) do |*arguments|
        super(*arguments).tap { |item| Thread.current.raise("interrupt") if item && (interruptions += 1).odd? }
      end
      100.times do
        Child.trace
        Thread.list.find { |thread| thread.name.to_s.include?("NativeExport traces") }&.kill
      end
      Child.flush
      puts JSON.generate(sum: Child.writer.stats.values_at(:traces_accepted, :traces_dropped).sum,
                         interrupted: interruptions > 10)
    RUBY

    expect(told).to eq("sum" => 100, "interrupted" => true)
  end

  it "have their traces sent without a flush" do
    told = told(<<~RUBY)
      Child.trace("one")
      RECEIVER.wait_for(spans: 1, timeout: 20)
      Child.trace("two")
      RECEIVER.wait_for(spans: 2, timeout: 20)
      puts JSON.generate(names: names)
    RUBY

    expect(told).to eq("names" => { "one" => 1, "two" => 1 })
  end

  it "can flush at once while the worker rests" do
    told = told(<<~RUBY)
      Child.trace
      Child.flush
      took = Array.new(20) do
        Child.trace
        started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
        Child.writer.instance_variable_get(:@worker).drain(20)
        Process.clock_gettime(Process::CLOCK_MONOTONIC) - started
      end
      puts JSON.generate(took: took.min)
    RUBY

    # It would rest for 0.1 s.
    expect(told["took"]).to be < 0.08
  end
end
