# frozen_string_literal: true

require_relative "../../support/dd_trace_rb"

# What Datadog's other products put into traces, and read of what the tracer knows.
RSpec.describe "Products on top of dd-trace-rb" do
  include_context "with dd-trace-rb"

  script = <<~RUBY
    require "datadog/native_export/testing"
    RECEIVER = Datadog::NativeExport::Testing::Agent.start(info: { "span_events" => true })
    def configure(**options, &block) = Child.configure(port: RECEIVER.url[/\\d+\\z/], **options, &block)
    def sent
      Child.flush
      RECEIVER.wait_for(spans: 1).first
    end
    def asked = RECEIVER.requests.count { |request| request.path == "/info" && request.headers["user-agent"] == "Ruby" }
    def info = Datadog.send(:components).agent_info

    # An agent that says more about itself than RECEIVER: the block answers to /info.
    def serve(&answer)
      listener = TCPServer.new("127.0.0.1", 0)
      port = listener.addr[1]
      Datadog::NativeExport::Testing.const_get(:Server).new(listener) do |head, *|
        head.path == "/info" ? answer.call : [200, {}, "{}"]
      end
      Child.configure(port: port)
    end
  RUBY

  # Early versions lack some of it.
  known = {}
  define_method(:needs) do |feature|
    known.merge!(report("none", <<~RUBY)) if known.empty?
      info = "Datadog::Core::Environment::AgentInfo"
      puts JSON.generate(
        checksum: Object.const_defined?(info) && Object.const_get(info).method_defined?(:propagation_checksum),
        metastruct: Datadog::Tracing::SpanOperation.method_defined?(:set_metastruct_tag),
        events: Datadog::Tracing.const_defined?(:SpanEvent),
        stack: !Gem.find_files("datadog/appsec/actions_handler/serializable_backtrace.rb").empty?
      )
    RUBY
    skip("not in this version") unless known[feature.to_s]
  end

  define_method(:told) { |code, way: "enable", errors: 0| report(way, "#{script}\n#{code}", errors:) }

  %w[enable writer transport].each do |way|
    it "find the checksum of what the agent knows about the container, by #{way}" do
      needs(:checksum)
      code = <<~RUBY
        serve { [200, { "Datadog-Container-Tags-Hash" => "abc" }, '{"span_events": true}'] }
        Child.trace
        Child.flush
        puts JSON.generate(checksum: Child.wait_until { info.propagation_checksum })
      RUBY

      expect(told(code, way:)).to eq(told(code, way: "http"))
    end
  end

  %w[http enable writer transport].each do |way|
    it "send what serializes itself, as AppSec's stack traces do, by #{way}" do
      needs(:stack)
      told = told(<<~RUBY, way:)
        require "datadog/appsec"
        require "datadog/appsec/actions_handler/serializable_backtrace"
        configure
        stack = Datadog::AppSec::ActionsHandler::SerializableBacktrace.new(locations: caller_locations(0), stack_id: "1")
        Child.trace { |span| span.set_metastruct_tag("_dd.stack", { "exploit" => [stack] }) }
        puts JSON.generate(sent.dig("meta_struct", "_dd.stack", "exploit", 0).slice("id", "language"))
      RUBY

      expect(told).to eq("id" => "1", "language" => "ruby")
    end

    it "send structured tags by whatever keys, by #{way}" do
      needs(:metastruct)
      told = told(<<~RUBY, way:)
        configure
        parsed = { "a" => 1, "q" => { nil => "v", true => 2, 1.5 => 3, :s => [nil, false] } }
        Child.trace { |span| span.set_metastruct_tag("params", parsed) }
        params = sent.dig("meta_struct", "params")
        puts JSON.generate(a: params["a"], keys: params["q"].size)
      RUBY

      expect(told).to eq("a" => 1, "keys" => 4)
    end

    it "send span events as such in the first payload, by #{way}" do
      needs(:events)
      told = told(<<~RUBY, way:)
        configure
        Child.trace { |span| span.span_events << Datadog::Tracing::SpanEvent.new("packed", attributes: { "n" => 1 }) }
        puts JSON.generate(events: sent["span_events"]&.map { |event| event["name"] })
      RUBY

      expect(told).to eq("events" => ["packed"])
    end
  end

  it "send Rails' times as they are" do
    told = told(<<~RUBY)
      begin
        require "active_support"
        require "active_support/time"
      rescue LoadError
        puts "{}"
        exit
      end
      Time.zone = "Europe/Lisbon"
      configure
      began = Time.zone.now - 90
      Datadog::Tracing.trace("import", start_time: began).finish(began + 30)
      puts JSON.generate(right: sent["start"] / 1_000 == (began.to_r * 1_000_000).to_i, duration: sent["duration"])
    RUBY

    skip("ActiveSupport is not at hand") if told.empty?
    expect(told).to eq("right" => true, "duration" => 30_000_000_000)
  end

  describe "the agent" do
    before { needs(:checksum) }

    it "is asked once for a configuration, on a thread of its own that ends" do
      told = told(<<~RUBY)
        threads = []
        Datadog::Core::Environment::AgentInfo.prepend(Module.new { define_method(:fetch) { threads << Thread.current; super() } })
        configure
        2.times do |index|
          3.times { Child.trace; Child.flush }
          Child.wait_until { info.propagation_checksum }
          Datadog.configure { |c| c.version = index.to_s }
        end
        puts JSON.generate(asked: asked, apart: threads.none?(Thread.main), ended: Child.wait_until { threads.none?(&:alive?) })
      RUBY

      expect(told).to eq("asked" => 2, "apart" => true, "ended" => true)
    end

    it "is asked again when it did not answer, and holds up nobody" do
      told = told(<<~RUBY)
        gate = Queue.new
        serve { gate.pop ? [500, {}, ""] : [200, {}, "{}"] }
        Child.trace
        Child.wait_until { gate.num_waiting.positive? }
        Child.trace
        before = info.propagation_checksum
        3.times { gate << true }
        gate.close
        Child.wait_until { Child.trace; info.propagation_checksum }
        puts JSON.generate(before: before)
      RUBY

      expect(told).to eq("before" => nil)
    end

    it "is asked by each process" do
      told = told(<<~RUBY)
        configure
        reader, writer = IO.pipe
        pid = fork do
          Child.trace
          writer.puts(Child.wait_until { info.propagation_checksum }.class)
          exit!(0)
        end
        Process.wait(pid)
        puts JSON.generate(child: reader.gets, parent: info.propagation_checksum)
      RUBY

      expect(told).to eq("child" => "Integer\n", "parent" => nil)
    end

    it "is not asked for what nobody wants" do
      told = told(<<~RUBY)
        configure { |c| c.experimental_propagate_process_tags_enabled = false }
        Child.trace
        Child.flush
        puts JSON.generate(asked: asked)
      RUBY

      expect(told).to eq("asked" => 0)
    end
  end
end
