# frozen_string_literal: true

require_relative "../../support/dd_trace_rb"

# `before_flush` processors run where they hold up nobody.
RSpec.describe "dd-trace-rb's processors with native export" do
  include_context "with dd-trace-rb"

  script = <<~RUBY
    require "datadog/native_export/testing"
    Thread.report_on_exception = false
    RECEIVER = Datadog::NativeExport::Testing::Agent.start
    def configure(**options) = Child.configure(port: RECEIVER.url[/\\d+\\z/], **options)
    def process(&block) = Datadog::Tracing.before_flush(&block)
    def names = RECEIVER.spans.map { |span| span["name"] }.sort
    def workers = Thread.list.count { |thread| thread.name.to_s.include?("NativeExport traces") }
    def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  RUBY

  define_method(:told) { |code, way: "enable", errors: 0| report(way, "#{script}\n#{code}", errors:) }

  it "run on a thread of their own: no request waits for one" do
    told = told(<<~RUBY)
      configure
      gate = Queue.new
      on = []
      process { |trace| on << Thread.current; gate.pop; trace }
      requests = Array.new(8) { |index| Thread.new { Child.trace("request \#{index}"); Thread.current } }.map(&:value)
      before = RECEIVER.spans.size
      8.times { gate << true }
      flushed = Child.flush
      puts JSON.generate(before: before, flushed: flushed, names: names.size, apart: (on & requests).empty?,
                         threads: on.uniq.size)
    RUBY

    expect(told).to eq("before" => 0, "flushed" => true, "names" => 8, "apart" => true, "threads" => 1)
  end

  %w[http enable].each do |way|
    it "may make spans, which arrive, by #{way}" do
      told = told(<<~RUBY, way:)
        configure
        process { |trace| Child.trace("look-up") if trace.spans.any? { |span| span.name == "request" }; trace }
        Datadog::Tracing.before_flush(Datadog::Tracing::Pipeline::SpanProcessor.new { |span| span.set_tag("seen", "yes") })
        2.times { Child.trace("request") }
        Child.writer.respond_to?(:force_flush) ? Child.flush : RECEIVER.wait_for(spans: 4, timeout: 20)
        puts JSON.generate(names: names, seen: RECEIVER.spans.map { |span| span["meta"]["seen"] }.uniq)
      RUBY

      expect(told).to eq("names" => %w[look-up look-up request request], "seen" => ["yes"])
    end
  end

  it "that make a span for each they see come to an end, and what is lost of that is counted" do
    told = told(<<~RUBY)
      configure
      process { |trace| Child.trace("again"); trace }
      Child.trace("once")
      Child.flush
      puts JSON.generate(names: names.tally, dropped: Child.writer.stats[:traces_dropped])
    RUBY

    expect(told).to eq("names" => { "once" => 1, "again" => 8 }, "dropped" => 1)
  end

  it "lose the traces that they fail on, and no others" do
    told = told(<<~RUBY)
      configure
      process do |trace|
        case trace.spans.first.name
        when "bug" then raise "bug"
        when "not implemented" then raise NotImplementedError
        when "killed" then Thread.current.kill
        when "thrown" then throw :nowhere
        end
        trace
      end
      ["one", "bug", "two", "not implemented", "three", "killed", "four", "thrown", "five"].each { |name| Child.trace(name) }
      flushed = Child.flush
      puts JSON.generate(flushed: flushed, names: names, dropped: Child.writer.stats[:traces_dropped])
    RUBY

    # dd-trace-rb itself leaves out what errors of its kind cost.
    expect(told).to eq("flushed" => true, "names" => %w[five four one three two], "dropped" => 2)
  end

  it "bound what waits for them, and say that traces are lost" do
    told = told(<<~RUBY, errors: 2)
      configure
      gate = Queue.new
      process { |trace| gate.pop; trace }
      Child.trace("held")
      # It is held by then, and not waiting.
      Child.wait_until { gate.num_waiting == 1 }
      1_100.times { |index| Child.trace("row \#{index}") }
      Child.wait_until { !Child.writer.stats[:traces_dropped].zero? }
      gate.close
      Child.flush
      Child.trace("later")
      Child.flush
      puts JSON.generate(spans: RECEIVER.spans.size, dropped: Child.writer.stats[:traces_dropped])
    RUBY

    expect(told).to include("spans" => 1_002, "dropped" => 100)
    expect(told["errors"]).to match(/processors are too slow.*\n.*keep up again; 100 traces were lost/)
  end

  %w[enable writer].each do |way|
    it "are waited for when the process ends, by #{way}" do
      token = agent.start_session
      trace_with(way, <<~RUBY, token:)
        Child.configure
        Datadog::Tracing.before_flush { |trace| sleep 0.2; trace }
        Child.trace("last")
      RUBY

      expect(chunks(token).flatten.map { |span| span["name"] }).to eq(["last"])
    end
  end

  it "are waited for when the process ends after the tracer has" do
    token = agent.start_session
    trace_with("enable", <<~RUBY, token:)
      Child.configure
      Datadog::Tracing.before_flush { |trace| sleep 0.2; trace }
      Child.trace("last")
      Datadog.shutdown!
      Child.trace("after")
    RUBY

    expect(chunks(token).flatten.map { |span| span["name"] }).to eq(%w[last after])
  end

  it "survive forks: each process runs its own, once" do
    token = agent.start_session
    trace_with("enable", <<~RUBY, token:)
      Child.configure
      gate = Queue.new
      Datadog::Tracing.before_flush { |trace| gate.pop if trace.spans.first.name == "held"; trace }
      Child.trace("held")
      Child.trace("waiting")
      pids = Array.new(3) { |index| fork { Child.trace("child \#{index}") } }
      pids.each { |pid| Process.wait(pid) }
      gate << true
      Child.trace("parent")
    RUBY

    expect(chunks(token).flatten.map { |span| span["name"] }.sort)
      .to eq(["child 0", "child 1", "child 2", "held", "parent", "waiting"])
  end

  it "end their thread with each configuration" do
    told = told(<<~RUBY)
      process { |trace| trace }
      counts = Array.new(5) do |index|
        configure { |c| c.version = index.to_s }
        Child.trace("job")
        Child.flush
        Child.wait_until { workers == 1 }
      end
      Datadog.configure { |c| c.tracing.writer = Datadog::NativeExport::Writer.new }
      Child.wait_until { workers.zero? }
      puts JSON.generate(counts: counts, spans: RECEIVER.spans.size)
    RUBY

    expect(told).to eq("counts" => [true] * 5, "spans" => 5)
  end

  it "can be flushed by themselves, and in a signal handler" do
    told = told(<<~RUBY)
      configure
      process { |trace| Child.writer.force_flush(timeout: 5) if trace.spans.first.name == "flusher"; trace }
      Child.trace("flusher")
      Child.trace("other")
      flushed = nil
      writer = Child.writer
      trap("USR1") { flushed = writer.force_flush(timeout: 10) }
      Process.kill("USR1", Process.pid)
      Child.wait_until { !flushed.nil? }
      puts JSON.generate(flushed: flushed, names: names)
    RUBY

    expect(told).to eq("flushed" => true, "names" => %w[flusher other])
  end
end
