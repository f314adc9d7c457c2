# frozen_string_literal: true

RSpec.describe "The default exporter" do
  include_context "with an agent"

  # In a process of its own, since there is one a process. Prints what the script returns.
  def result(script)
    output, errors, status = run_ruby(<<~RUBY, agent.url)
      Warning[:experimental] = false
      include Datadog::NativeExport
      AGENT = ARGV[0].freeze
      def native = Datadog::NativeExport
      def chunks(id) = TraceChunks.new.begin_chunk << Span.new(name: "x", trace_id: 1, span_id: id, start: 0, duration: 0)
      print begin
        #{script}
      end.inspect
    RUBY
    expect([errors, status.exitstatus]).to eq(["", 0])
    output
  end

  def span_ids = agent.spans.map { |span| span["span_id"] }.sort

  it "is made with the first use, by variables and defaults, and stays the same" do
    expect(result(<<~RUBY)).to eq("[1, #{agent.url.inspect}, true]")
      ENV["DD_TRACE_AGENT_URL"] = AGENT
      exporters = Array.new(8) { Thread.new { native.exporter } }.map(&:value).uniq
      exporters[0].export(chunks(1))
      [exporters.size, exporters[0].agent_url, exporters[0].flush(timeout: 10)]
    RUBY
    expect(span_ids).to eq([1])
  end

  it "is made anew by each configuration, which keeps what earlier ones have set" do
    expect(result(<<~RUBY)).to eq("[true, 5.0, 7.0, 3.0, 1.0]")
      native.configure { |c| c.agent_url = AGENT; c.agent_timeout = 5 }
      native.configure { |c| c.flush_interval = 7 if c.agent_timeout == 5 }
      second = native.exporter
      third = native.configure { |c| c.agent_timeout = c.flush_interval = nil }
      [third.agent_url == AGENT, second.config[:agent_timeout][:value],
       second.config[:flush_interval][:value], third.config[:agent_timeout][:value], third.config[:flush_interval][:value]]
    RUBY
  end

  it "loses nothing when it is replaced, nor what those export who still hold the former one" do
    expect(result(<<~RUBY)).to eq("[true, true, false]")
      former = native.configure { |c| c.agent_url = AGENT; c.flush_interval = 3_600; c.shutdown_timeout = 10 }
      former.export(chunks(1))
      native.configure { |c| c.headers = { "X-New" => "1" } }
      [former.export(chunks(2)), native.exporter.export(chunks(3)), native.exporter.equal?(former)]
    RUBY
    expect(span_ids).to eq([1, 2, 3])
  end

  it "stays as it is when an option is refused, or the block raises" do
    expect(result(<<~RUBY)).to eq('[true, true, "headers: expected a Hash of Strings, got a Hash with 3", "no", true]')
      before = native.configure { |c| c.agent_url = AGENT }
      errors = [proc { |c| c.headers = { "X" => 3 } }, proc { raise "no" }, proc { |c| c.agent_ulr = "x" }].map do |block|
        native.configure(&block)
      rescue StandardError => e
        e
      end
      [native.exporter.equal?(before), native.configure { nil }.config[:headers][:source] == :default,
       errors[0].message, errors[1].message, errors[2].is_a?(NoMethodError)]
    RUBY
  end

  it "shows no secrets while it is configured" do
    expect(result(<<~'RUBY')).to eq('["#<Datadog::NativeExport::Settings headers>"]')
      shown = nil
      native.configure { |c| c.headers = { "X" => "s3cr3t" }; shown = [c.to_s, c.inspect] }
      shown.uniq
    RUBY
  end

  it "can be configured by several threads, and asked for while it is" do
    expect(result(<<~RUBY)).to eq("[true, true]")
      names = %i[agent_timeout flush_interval shutdown_timeout retry_deadline]
      asked = nil
      names.map { |name| Thread.new { native.configure { |c| asked = native.exporter; c[name] = 9; Thread.pass } } }.each(&:join)
      [asked.is_a?(Exporter), names.all? { |name| native.exporter.config[name][:value] == 9.0 }]
    RUBY
  end

  it "serves forked children, and those forked while a thread configures it" do
    expect(result(<<~RUBY)).to eq("[0, 0]")
      native.configure { |c| c.agent_url = AGENT }.export(chunks(1))
      child = fork { native.exporter.export(chunks(2)) }
      first = Process.wait2(child)[1].exitstatus
      held = Queue.new
      thread = Thread.new { native.configure { held << true; sleep } }
      held.pop
      child = fork { native.configure { |c| c.headers = { "X-Child" => "1" } }.export(chunks(3)) }
      second = Process.wait2(child)[1].exitstatus
      thread.kill.join
      [first, second]
    RUBY
    expect(span_ids).to eq([1, 2, 3])
  end

  it "serves all Ractors, once the main one has made it" do
    expect(result(<<~RUBY)).to eq("[Ractor::IsolationError, true]")
      early = Ractor.new do
        Datadog::NativeExport.exporter
      rescue StandardError => e
        e.class
      end.take
      native.configure { |c| c.agent_url = AGENT }
      late = Ractor.new do
        span = Datadog::NativeExport::Span.new(name: "x", trace_id: 1, span_id: 1, start: 0, duration: 0)
        Datadog::NativeExport.exporter.export(Datadog::NativeExport::TraceChunks.new.begin_chunk << span)
      end.take
      [early, late]
    RUBY
    expect(span_ids).to eq([1])
  end
end
