# frozen_string_literal: true

require_relative "../../support/dd_trace_rb"

# What the application chooses, before or after it calls `enable!`, comes first, and one line says so.
RSpec.describe "Datadog::NativeExport.enable! with dd-trace-rb" do
  include_context "with dd-trace-rb"

  script = <<~RUBY
    require "datadog/native_export/testing"
    require "stringio"

    class OwnTransport
      include Datadog::Tracing::Transport::Statistics
      ARRIVED = []
      def send_traces(traces)
        ARRIVED.concat(traces.flat_map { |trace| trace.spans.map(&:name) })
        []
      end
    end

    class OwnWriter
      WRITTEN = []
      def write(trace) = WRITTEN.concat(trace.spans.map(&:name))
      def stop = true
    end

    LOG = StringIO.new
    TEST_AGENT = Datadog::NativeExport::Testing::Agent.start
    def enable(**options) = Datadog::NativeExport.enable!(**options)

    def configure
      Datadog.configure do |c|
        c.agent.port = TEST_AGENT.url[/\\d+\\z/]
        c.logger.instance = Datadog::Core::Logger.new(LOG)
        c.logger.level = Logger::WARN
        yield c if block_given?
      end
    end

    def arrived
      Child.trace("probe")
      Child.flush if Child.writer
      { agent: TEST_AGENT.spans.map { |span| span["name"] }, transport: OwnTransport::ARRIVED, writer: OwnWriter::WRITTEN }
        .reject { |_, names| names.empty? }
    end

    def tell(**results)
      lines = LOG.string.lines.grep(/native-export/).map { |line| line[/native-export: (.*)/, 1] }
      puts JSON.generate({ lines: lines, **results })
    end
  RUBY

  define_method(:told) { |code, errors: 0| report("none", "#{script}\n#{code}", errors:) }

  ways = {
    "no tracing" => ["c.tracing.enabled = false", "tracing is disabled", {}],
    "a tracer of its own" => [
      "c.tracing.instance = Datadog::Tracing::Tracer.new(writer: OwnWriter.new)",
      "c.tracing.instance is a tracer of the application's own", { "writer" => ["probe"] }
    ],
    "a writer of its own" => [
      "c.tracing.writer = OwnWriter.new", "c.tracing.writer is the application's own: OwnWriter",
      { "writer" => ["probe"] }
    ],
    "test mode" => [
      "c.tracing.test_mode.enabled = true; c.tracing.test_mode.writer_options = { transport: OwnTransport.new }",
      "test mode writes traces synchronously", { "transport" => ["probe"] }
    ],
    "asynchronous test mode with a transport" => [
      "c.tracing.test_mode.enabled = c.tracing.test_mode.async = true\n" \
      "c.tracing.test_mode.writer_options = { transport: OwnTransport.new, shutdown_timeout: 60, buffer_size: 10_000 }",
      "the tracer has a transport of the application's own: OwnTransport", { "transport" => ["probe"] }
    ],
    "a transport of its own" => ["c.tracing.writer_options = { transport: OwnTransport.new }",
                                 "the tracer has a transport of the application's own: OwnTransport",
                                 { "transport" => ["probe"] }]
  }

  ways.each do |name, (code, reason, arrived)|
    context "where the application chooses #{name}" do
      it "returns false afterwards, and leaves the tracer as it is" do
        told = told("configure { |c| #{code} }; enabled = enable; configure; tell(enabled: enabled, arrived: arrived)")

        expect(told).to eq("enabled" => false, "arrived" => arrived,
                           "lines" => ["off, the tracer keeps its own transport: #{reason}"])
      end

      it "returned true before, and stands aside" do
        told = told("enabled = enable; configure { |c| #{code} }; configure; tell(enabled: enabled, arrived: arrived)")

        expect(told).to eq("enabled" => true, "arrived" => arrived, "lines" => ["stands aside: #{reason}"])
      end
    end
  end

  it "is true again when the choice is taken back" do
    told = told(<<~RUBY)
      enable
      configure { |c| c.tracing.writer_options = { transport: OwnTransport.new } }
      aside = [enable, arrived]
      configure { |c| c.tracing.writer_options = {} }
      tell(aside: aside, enabled: enable, arrived: arrived)
    RUBY

    expect(told).to include("aside" => [false, { "transport" => ["probe"] }], "enabled" => true,
                            "arrived" => { "agent" => ["probe"], "transport" => ["probe"] })
  end

  it "keeps a native transport that the application has chosen, for its tests, too" do
    told = told(<<~RUBY)
      enabled = enable
      configure do |c|
        c.tracing.test_mode.enabled = true
        c.tracing.test_mode.writer_options = { transport: Datadog::NativeExport::Transport.new(wait: 10) }
      end
      tell(enabled: enabled, again: enable, arrived: arrived)
    RUBY

    expect(told).to eq("enabled" => true, "again" => true, "arrived" => { "agent" => ["probe"] }, "lines" => [])
  end

  it "leaves the tracer its own transport for an address that can't be used" do
    told = told(<<~RUBY)
      enabled = enable
      configure { |c| c.agent.host = "no host" }
      classes = [Child.writer.transport.class, enable]
      configure { |c| c.agent.host = nil }
      tell(enabled: enabled, classes: classes, again: enable, arrived: arrived)
    RUBY

    expect(told).to include("enabled" => true, "classes" => ["Datadog::Tracing::Transport::Traces::Transport", false],
                            "again" => true, "arrived" => { "agent" => ["probe"] })
    expect(told["lines"])
      .to match([/\Astands aside: agent_url/, /\Aoff, the tracer keeps its own transport: agent_url/])
  end

  it "passes on what the tracer's own writer tells of traces while it stands aside" do
    told = told(<<~RUBY)
      enable
      outcomes = []
      Datadog.configuration.tracing.writer.events.after_send.subscribe { |_, responses| outcomes << responses.size }
      configure { |c| c.tracing.writer_options = { transport: OwnTransport.new } }
      before, after = arrived, arrived
      tell(outcomes: outcomes, arrived: after, flushed: Child.writer.stats.key?(:traces_flushed))
    RUBY

    expect(told).to include("outcomes" => [0, 0], "arrived" => { "transport" => %w[probe probe] }, "flushed" => true)
  end

  describe "and options for the tracer's own writer" do
    it "follows those that it can, and names the others" do
      told = told(<<~RUBY)
        enable(headers: { "X-Own" => "1" })
        configure do |c|
          c.tracing.writer_options = {
            flush_interval: 0.05, shutdown_timeout: 7, buffer_size: 10,
            transport_options: { headers: { "X-Team" => "shop", "x-own" => "0", "X-Odd" => "a\\nb" } }
          }
        end
        Child.trace("probe")
        # Not flushed.
        TEST_AGENT.wait_for(spans: 1)
        headers = TEST_AGENT.requests.find { |request| request.path == "/v0.4/traces" }.headers
        tell(headers: headers.slice("x-team", "x-own", "x-odd"), shutdown: Child.writer.transport.shutdown_timeout)
      RUBY

      expect(told).to eq(
        "headers" => { "x-team" => "shop", "x-own" => "1" }, "shutdown" => 7,
        "lines" => ["c.tracing.writer_options without effect: buffer_size, transport_options.headers.X-Odd"]
      )
    end

    it "takes its own options first" do
      told = told(<<~RUBY)
        enable(shutdown_timeout: 3)
        configure { |c| c.tracing.writer_options = { shutdown_timeout: 7, flush_interval: "often" } }
        tell(shutdown: Child.writer.transport.shutdown_timeout, arrived: arrived)
      RUBY

      expect(told).to eq("shutdown" => 3, "arrived" => { "agent" => ["probe"] },
                         "lines" => ["c.tracing.writer_options without effect: flush_interval"])
    end
  end

  it "adds headers to those of the container, in any case" do
    told = told(<<~RUBY)
      known = { "Datadog-Container-ID" => "abc", "Datadog-Entity-ID" => "ci-abc" }
      Datadog::Core::Environment::Container.define_singleton_method(:to_headers) { known }
      enable(headers: { "X-Team" => "shop", "datadog-entity-id" => "other" })
      configure
      arrived
      headers = TEST_AGENT.requests.find { |request| request.path == "/v0.4/traces" }.headers
      tell(headers: headers.slice("datadog-container-id", "datadog-entity-id", "x-team"))
    RUBY

    expect(told["headers"])
      .to eq("datadog-container-id" => "abc", "datadog-entity-id" => "other", "x-team" => "shop")
  end
end
