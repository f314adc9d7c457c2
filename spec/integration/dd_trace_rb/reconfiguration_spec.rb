# frozen_string_literal: true

require_relative "../../support/dd_trace_rb"

# `Datadog.configure` may be called any number of times.
RSpec.describe "dd-trace-rb configured again and again" do
  include_context "with dd-trace-rb"

  script = <<~RUBY
    require "datadog/native_export/testing"
    RECEIVER = Datadog::NativeExport::Testing::Agent.start
    def configure(**options, &block) = Child.configure(port: RECEIVER.url[/\\d+\\z/], **options, &block)

    def left
      4.times { GC.start }
      { subscriptions: Child.writer.events.after_send.subscriptions.size,
        samplers: ObjectSpace.each_object(Datadog::Tracing::Component::SamplerDelegatorComponent).count,
        exporters: ObjectSpace.each_object(Datadog::NativeExport::Exporter).count,
        ruby_threads: Thread.list.size,
        threads: Dir.children("/proc/self/task").size, descriptors: Dir.children("/proc/self/fd").size }
    end

    def used
      Child.trace("job")
      Child.flush
    end
  RUBY

  define_method(:told) { |code, way: "enable", errors: 0| report(way, "#{script}\n#{code}", errors:) }

  %w[enable writer].each do |way|
    it "leaves nothing behind, by #{way}" do
      told = told(<<~RUBY, way:)
        configure
        3.times { |index| Datadog.configure { |c| c.version = index.to_s }; used }
        first = left
        20.times { |index| Datadog.configure { |c| c.version = index.to_s }; used }
        # Some of it ends by itself, and some of that had not when it was first looked at.
        last = nil
        begin
          Child.wait_until { (last = left).all? { |name, count| count <= first[name] } }
        rescue RuntimeError
          # Told below.
        end
        puts JSON.generate(first: first, last: last, spans: RECEIVER.spans.size)
      RUBY

      expect(told["spans"]).to eq(23)
      told["last"].each { |name, count| expect(count).to be <= told["first"][name], "#{name}: #{told}" }
    end
  end

  it "keeps the application's subscriptions" do
    told = told(<<~RUBY)
      configure
      heard = 0
      2.times { Child.writer.events.after_send.subscribe { heard += 1 } }
      5.times { |index| Datadog.configure { |c| c.version = index.to_s } }
      Child.trace("job")
      Child.flush
      puts JSON.generate(heard: heard, subscriptions: Child.writer.events.after_send.subscriptions.size)
    RUBY

    expect(told).to eq("heard" => 2, "subscriptions" => 4)
  end

  it "drops the sampler of before in test mode, which has none" do
    told = told(<<~RUBY)
      configure
      Datadog.configure { |c| c.tracing.test_mode.enabled = c.tracing.test_mode.async = true }
      puts JSON.generate(subscriptions: Child.writer.events.after_send.subscriptions.size)
    RUBY

    expect(told).to eq("subscriptions" => 1)
  end

  it "has the sampler of the present configuration learn the agent's rates" do
    told = told(<<~RUBY)
      RECEIVER.respond_with(200, {}, '{"rate_by_service":{"service:,env:":0.25}}')
      configure
      3.times { |index| Datadog.configure { |c| c.version = index.to_s } }
      rate = Child.wait_until do
        operation = nil
        Child.trace { operation = Datadog::Tracing.active_trace }
        Child.flush
        operation.agent_sample_rate if operation.agent_sample_rate == 0.25
      end
      puts JSON.generate(rate: rate)
    RUBY

    expect(told).to eq("rate" => 0.25)
  end

  it "loses no trace that is written meanwhile" do
    told = told(<<~RUBY)
      configure
      writing = Thread.new { Array.new(300) { |index| Child.trace(index.to_s); Thread.pass; index }.size }
      10.times { |index| Datadog.configure { |c| c.version = index.to_s } }
      written = writing.value
      Child.flush
      puts JSON.generate(written: written, arrived: RECEIVER.spans.map { |span| span["name"] }.uniq.size, all: RECEIVER.spans.size)
    RUBY

    expect(told).to eq("written" => 300, "arrived" => 300, "all" => 300)
  end
end
