# frozen_string_literal: true

# Loggers belong to the application, and may do anything.
RSpec.describe "Loggers" do
  # Loses spans to an agent that isn't there, and begins a new loss each time.
  script = <<~RUBY
    include Datadog::NativeExport
    def chunks = TraceChunks.new.begin_chunk << Span.new(name: "x", trace_id: 1, span_id: 1, start: 0, duration: 0)
    def exporter(logger) = Exporter.new(agent_url: "http://127.0.0.1:1", logger: logger, retry_deadline: 0.01, flush_interval: 0.01)
    def threads = Thread.list.count { |thread| thread.name.to_s.include?("NativeExport log") }
    def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

    # Exports until a line came up.
    def lose(exporter)
      exporter.export(chunks)
      sleep 0.01 until exporter.stats[:spans_dropped].positive?
      exporter.export(chunks)
    end

    class Recorder
      attr_reader :lines, :threads
      def initialize(&block)
        @block = block
        @lines, @threads = Queue.new, Queue.new
      end

      def warn(line)
        @threads << Thread.current
        @lines << line
        @block&.call
      end
    end
  RUBY

  define_method(:output) do |code, status: 0|
    output, errors, ended = run_ruby("#{script}\n#{code}")
    expect(ended.exitstatus).to eq(status), errors
    output.lines(chomp: true)
  end

  it "are called on a thread that ends, and not by those who export" do
    expect(output(<<~RUBY)).to eq(%w[true false 0])
      logger = Recorder.new
      exporter = exporter(logger)
      puts lose(exporter)
      logger.lines.pop
      puts logger.threads.pop == Thread.main
      sleep 0.001 until threads.zero?
      puts threads
    RUBY
  end

  it "that hang hold up nobody but those who wait for the agent, too, and these for a second" do
    expect(output(<<~RUBY)).to eq(%w[true 1 true])
      logger = Recorder.new { sleep }
      exporter = exporter(logger)
      lose(exporter)
      logger.lines.pop
      began = now
      1_000.times { exporter.export(chunks) }
      puts now - began < 5, threads
      began = now
      exporter.flush
      puts (now - began).between?(0.9, 5)
      exit!(0)
    RUBY
  end

  {
    "an error" => "raise 'no'", "what is no error" => "raise NotImplementedError", "an interrupt" => "raise Interrupt",
    "nothing, but end their thread" => "Thread.current.kill", "nothing, but throw" => "throw :nowhere",
    "nothing, but exit" => "exit(7)"
  }.each do |name, code|
    it "may raise #{name}" do
      expect(output(<<~RUBY, status: 3)).to eq(%w[true true])
        exporter = exporter(Recorder.new { #{code} })
        puts lose(exporter)
        puts exporter.flush
        exit 3
      RUBY
    end
  end

  it "have all lines when a call that waits returns" do
    expect(output(<<~RUBY)).to eq(["1", "datadog-native-export: Spans are being lost (unreachable): "])
      logger = Recorder.new
      exporter = exporter(logger)
      exporter.export(chunks)
      exporter.flush
      puts logger.lines.size, logger.lines.pop[/\\A.*?\\): /]
    RUBY
  end

  it "may flush" do
    expect(output(<<~RUBY)).to eq(%w[true true])
      exporter = nil
      logger = Recorder.new { exporter.flush }
      exporter = exporter(logger)
      puts lose(exporter), exporter.flush
    RUBY
  end

  it "hear in a child of what it has lost, and of nothing else" do
    expect(output(<<~RUBY)).to eq(["1"])
      logger = Recorder.new { sleep if $$ == $parent }
      $parent = $$
      exporter = exporter(logger)
      lose(exporter)
      logger.lines.pop
      pid = fork do
        exporter.export(chunks)
        exporter.flush
        puts logger.lines.size
        exit!(0)
      end
      Process.wait(pid)
      exit!(0)
    RUBY
  end

  it "hear at the end of the process what is lost with it, where it was going, and why" do
    hung_agent do |url|
      _, errors, = run_ruby(<<~RUBY, url)
        #{script}
        Exporter.new(agent_url: ARGV[0], shutdown_timeout: 0.1).export(chunks)
      RUBY

      expect(errors.lines.size).to eq(1)
      expect(errors).to match(/1 spans are lost: the process ends, on their way to #{url}/)
    end
  end
end
