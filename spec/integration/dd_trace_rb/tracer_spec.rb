# frozen_string_literal: true

require_relative "../../support/dd_trace_rb"

# What this gem asks of dd-trace-rb beyond its public API, and what that asks of a writer and a transport.
RSpec.describe "dd-trace-rb's" do
  include_context "with dd-trace-rb"

  describe "agent settings" do
    def options(*lines)
      report("none", <<~RUBY).transform_keys(&:to_sym)
        Datadog.configure do |c|
          c.logger.level = Logger::WARN
          #{lines.join("\n")}
        end
        Datadog::NativeExport::Transport # loads it
        settings = Datadog::NativeExport.const_get(:DDTrace).const_get(:Settings)
        puts JSON.generate(settings.new(Datadog.configuration).exporter_options.except(:logger))
      RUBY
    end

    it "are the agent's host, port and timeout" do
      expect(options('c.agent.host = "apm"', "c.agent.port = 1234", "c.agent.timeout_seconds = 7"))
        .to include(agent_url: "http://apm:1234", agent_timeout: 7)
    end

    it "are defaults where nothing is set" do
      expect(options).to include(agent_url: "http://127.0.0.1:8126", agent_timeout: 30, client_computed_stats: false,
                                 client_computed_top_level: true, tracer_version: /\A2\.\d+/)
    end

    it "are TLS and IPv6" do
      expect(options('c.agent.host = "::1"', "c.agent.use_ssl = true")).to include(agent_url: "https://[::1]:8126")
    end

    it "are a Unix socket" do
      expect(options('c.agent.uds_path = "/tmp/apm.socket"')).to include(agent_url: "unix:///tmp/apm.socket")
    end

    it "tell of computed stats where APM is off" do
      expect(options(File.read("#{Support::DDTraceRb::FOLDER}/work/disabled_apm.rb")[/  if.*?  end/m]))
        .to include(client_computed_stats: true).or include(tracer_version: /\A2\.[0-9]\./) # which have no such setting
    end
  end

  describe "configuration" do
    # With neither gem loaded yet.
    def run_bare(script, *options)
      Open3.capture2e(Support::DDTraceRb::UNSET.merge("DD_TRACE_STARTUP_LOGS" => "false"), *Support::DDTraceRb.command,
                      *options, "-e", script).first.lines(chomp: true)
    end

    ours = '"datadog/native_export"'
    theirs = '"datadog"'
    [[ours, theirs], [theirs, ours]].each do |first, second|
      it "takes enable! when #{first} is required before #{second}, and starts nothing before its time" do
        expect(run_bare(<<~RUBY)).to eq(%w[true false Datadog::NativeExport::Writer true 1])
          require #{first}
          require #{second}
          puts Datadog::NativeExport.enable!, Datadog.send(:components?)
          Datadog.configure { |c| c.logger.level = Logger::WARN; c.telemetry.enabled = false }
          writer = Datadog::Tracing.send(:tracer).writer
          puts writer.class, Datadog::NativeExport.enable!
          Datadog.configure { |c| c.service = "other" }
          puts [writer, Datadog::Tracing.send(:tracer).writer].uniq.size
        RUBY
      end
    end

    it "takes enable! when the tracer runs already" do
      expect(run_bare(<<~RUBY)).to eq(%w[Datadog::Tracing::Writer Datadog::NativeExport::Writer])
        require "datadog"
        require "datadog/native_export"
        Datadog.configure { |c| c.logger.level = Logger::WARN; c.telemetry.enabled = false }
        puts Datadog::Tracing.send(:tracer).writer.class
        Datadog::NativeExport.enable!
        puts Datadog::Tracing.send(:tracer).writer.class
      RUBY
    end

    it "keeps the tracer's own transport, with one line, where the extension can't be loaded" do
      Dir.mktmpdir do |folder|
        FileUtils.mkdir_p("#{folder}/datadog_native_export")
        File.write("#{folder}/datadog_native_export/datadog_native_export.rb", 'raise LoadError, "wrong ELF class"')
        lines = run_bare(<<~RUBY, "-I", folder)
          $LOAD_PATH.unshift(#{folder.inspect})
          require "datadog/native_export"
          require "datadog"
          Datadog::NativeExport.enable!
          Datadog.configure { |c| c.logger.level = Logger::WARN; c.telemetry.enabled = false }
          puts Datadog::Tracing.send(:tracer).writer.transport.class
        RUBY

        expect(lines.last).to eq("Datadog::Tracing::Transport::Traces::Transport")
        expect(lines[0...-1]).to match([/native-export: off, the tracer keeps its own transport: wrong ELF class/])
      end
    end
  end

  # Its Sinatra integration does this with the first request.
  it "traces that a reconfiguration comes in between arrive" do
    token = agent.start_session
    trace_with("writer", <<~RUBY, token:)
      Child.configure
      Child.trace("outer") { Datadog.configure { |c| c.version = "2" } }
    RUBY

    expect(chunks(token).flatten.map { |span| span["name"] }).to eq(["outer"])
  end

  it "SyncWriter takes the transport in test mode, and leaves the writer out" do
    token = agent.start_session
    names = trace_with("transport", <<~RUBY, token:)
      Child.configure do |c|
        c.tracing.writer = Datadog::NativeExport::Writer.new
        c.tracing.test_mode.enabled = true
        c.tracing.test_mode.writer_options = c.tracing.writer_options
      end
      Child.trace("in a test")
      puts Child.writer.class
    RUBY

    expect(names).to eq("Datadog::Tracing::SyncWriter\n")
    expect(chunks(token).flatten.map { |span| span["name"] }).to eq(["in a test"])
  end

  it "test mode runs asynchronously with the writer" do
    token = agent.start_session
    trace_with("writer", <<~RUBY, token:)
      Child.configure do |c|
        c.tracing.test_mode.enabled = true
        c.tracing.test_mode.async = true
      end
      Child.trace("in a test")
    RUBY

    expect(chunks(token).flatten.map { |span| span["name"] }).to eq(["in a test"])
  end

  it "OpenTelemetry span processor flushes and stops the writer" do
    reported = report("writer", <<~RUBY)
      require "datadog/native_export/testing"
      module OpenTelemetry; module SDK; module Trace; module Export; SUCCESS = 0; end; class Span; end; end; end; end
      module OpenTelemetry; module SDK; module Trace; class SpanLimits; DEFAULT = nil; end; end; end; end
      module OpenTelemetry; module Trace; module Status; OK = 0; ERROR = 2; end; end; end
      require "datadog/opentelemetry/sdk/span_processor"
      processor = Datadog::OpenTelemetry::SDK::SpanProcessor.new
      Datadog::OpenTelemetry::SDK::SpanProcessor::Export = OpenTelemetry::SDK::Trace::Export unless
        Datadog::OpenTelemetry::SDK::SpanProcessor.const_defined?(:Export)

      Datadog::NativeExport::Testing::Agent.start do |agent|
        Child.configure(port: agent.url[/\\d+\\z/], flush_interval: 3_600)
        Child.trace("flushed")
        processor.force_flush(timeout: 20)
        flushed = agent.spans.size
        Child.trace("stopped")
        processor.shutdown(timeout: 20)
        puts JSON.generate(flushed: flushed, stopped: agent.spans.size)
      end
    RUBY

    expect(reported).to eq("flushed" => 1, "stopped" => 2)
  end

  %w[transport writer].each do |way|
    it "environment log line names the native transport, by #{way}" do
      reported = report(way, <<~RUBY)
        require "datadog/native_export/testing"
        require "stringio"
        log = StringIO.new
        Datadog::NativeExport::Testing::Agent.start do |agent|
          Child.configure(port: agent.url[/\\d+\\z/]) do |c|
            c.logger.instance = Logger.new(log)
            c.logger.level = Logger::INFO
            c.diagnostics.startup_logs.enabled = true
          end
          Child.trace
          agent.wait_for(spans: 1)
          Child.flush
          line = Child.wait_until { log.string[/CONFIGURATION - TRACING - (.*)/, 1] }
          puts JSON.generate(url: agent.url, line: JSON.parse(line))
        end
      RUBY

      expect(reported["line"]["agent_url"])
        .to eq("#{reported["url"]}?transport=datadog-native-export-#{Datadog::NativeExport::VERSION}")
    end

    it "health metrics go on, by #{way}" do
      reported = report(way, <<~RUBY)
        require "datadog/native_export/testing"
        class Statsd
          COUNTS = Hash.new { |counts, name| counts[name] = [] }
          def count(name, value, options = {}) = COUNTS[name] << [value, options[:tags].grep(/status/)]
          alias gauge count
          def close; end
        end
        module Datadog; class Statsd < ::Statsd; VERSION = "5.6.1"; end; end
        Datadog::NativeExport::Testing::Agent.start do |agent|
          Child.configure(port: agent.url[/\\d+\\z/]) do |c|
            c.health_metrics.enabled = true
            c.health_metrics.statsd = c.runtime_metrics.statsd = Statsd.new
          end
          3.times { Child.trace { Child.trace } }
          agent.wait_for(spans: 6)
          Child.flush
          Child.wait_until { Statsd::COUNTS.key?("datadog.tracer.api.responses") }
          puts JSON.generate(Statsd::COUNTS)
        end
      RUBY
      sum = ->(name) { reported.fetch("datadog.tracer.#{name}").sum(&:first) }

      expect(%w[queue.accepted queue.accepted_lengths queue.dropped api.responses].to_h { |name| [name, sum[name]] })
        .to eq("queue.accepted" => 3, "queue.accepted_lengths" => 6, "queue.dropped" => 0, "api.responses" => 1)
      expect(reported["datadog.tracer.api.responses"]).to eq([[1, ["status_code:200"]]])
      expect(reported).to include("datadog.tracer.transport.chunked")
    end
  end
end
