# frozen_string_literal: true

require_relative "../../support/dd_trace_rb"

# What the tracer is told of its traces, next to what its own transport tells.
RSpec.describe "Outcomes of dd-trace-rb's traces" do
  include_context "with dd-trace-rb"

  script = <<~RUBY
    require "datadog/native_export/testing"
    require "stringio"
    LOG = StringIO.new
    RECEIVER = Datadog::NativeExport::Testing::Agent.start(rate_by_service: { "service:,env:" => 0.5 })

    class Metrics
      CALLS = Hash.new { |calls, name| calls[name] = [] }
      def count(name, value, options = {}) = CALLS[name.delete_prefix("datadog.tracer.")] << [value, options[:tags].grep(/status/)]
      alias gauge count
      def close; end
    end
    module Datadog; class Statsd < ::Metrics; VERSION = "5.6.1"; end; end

    def configure(**options)
      options = { retry_deadline: 0.1, **options } unless WAY == "http"
      Child.configure(port: RECEIVER.url[/\\d+\\z/], **options) do |c|
        c.logger.instance = Logger.new(LOG)
        c.logger.level = Logger::ERROR
        c.health_metrics.enabled = true
        c.health_metrics.statsd = c.runtime_metrics.statsd = Metrics.new
        yield c if block_given?
      end
    end

    RESPONSES = []
    def subscribe(writer = Child.writer)
      writer.events.after_send.subscribe { |_, responses| RESPONSES.concat(responses) }
    end

    def kind(response)
      %i[ok? client_error? server_error? internal_error? not_found? unsupported?].select { |name| response.public_send(name) }
    end

    def counts(stats) = %i[success client_error server_error internal_error].to_h { |name| [name, stats.public_send(name)] }
  RUBY

  define_method(:told) { |code, way: "enable"| report(way, "#{script}\n#{code}") }

  # One request each: what is tried again, or in parts, is counted more than once.
  %w[200 400 403].product(%w[enable writer]).each do |status, way|
    it "are those of its own transport when the agent answers #{status}, by #{way}" do
      code = <<~RUBY
        RECEIVER.respond_with(#{status}) unless #{status} == 200
        configure
        subscribe
        2.times { Child.trace("job") }
        stats, writer = Child.writer.transport.stats, Child.writer
        Child.flush
        puts JSON.generate(responses: RESPONSES.map { |response| [kind(response), response.code, response.trace_count] },
                           stats: counts(stats), flushed: writer.stats[:traces_flushed],
                           metrics: Metrics::CALLS.slice("api.responses", "api.errors"))
      RUBY

      expect(told(code, way:)).to eq(told(code, way: "http"))
    end
  end

  # dd-trace-rb tries an older version of the endpoint, which no agent in use lacks and this gem doesn't speak.
  { 404 => "not_found?", 415 => "unsupported?" }.each do |status, kind|
    it "are an answer when it doesn't know the endpoint (#{status})" do
      told = told(<<~RUBY)
        RECEIVER.respond_with(#{status})
        configure
        subscribe
        Child.trace("job")
        Child.flush
        puts JSON.generate(responses: RESPONSES.map { |response| [kind(response), response.code, response.trace_count] },
                           client_error: Child.writer.transport.stats.client_error)
      RUBY

      expect(told).to eq("responses" => [[["client_error?", kind], status, 1]], "client_error" => 1)
    end
  end

  it "are server errors when the agent answers 500, and internal ones when there is no answer" do
    told = told(<<~RUBY)
      configure
      subscribe
      RECEIVER.respond_with(500)
      Child.trace("job")
      Child.flush
      answered, tags = RESPONSES.map { |response| kind(response) }.uniq, Metrics::CALLS["api.responses"].map(&:last).uniq
      RECEIVER.stop
      RESPONSES.clear
      Child.trace("job")
      Child.flush
      puts JSON.generate(answered: answered, tags: tags, unanswered: RESPONSES.map { |response| kind(response) }.uniq,
                         flushed: Child.writer.stats[:traces_flushed])
    RUBY

    expect(told).to eq("answered" => [["server_error?"]], "tags" => [["status_code:500"]],
                       "unanswered" => [["internal_error?"]], "flushed" => 0)
  end

  it "are those of each attempt, and the traces of the last one are flushed" do
    told = told(<<~RUBY)
      answers = [503, 429]
      RECEIVER.respond_with { answers.shift }
      configure(retry_deadline: 10)
      subscribe
      Child.trace("job")
      Child.flush
      puts JSON.generate(responses: RESPONSES.map { |response| [response.code, response.trace_count] },
                         rates: RESPONSES.last.service_rates, flushed: Child.writer.stats[:traces_flushed])
    RUBY

    expect(told["responses"]).to contain_exactly([503, 1], [429, 1], [200, 1])
    expect(told).to include("rates" => { "service:,env:" => 0.5 }, "flushed" => 1)
  end

  it "have rates and bounds of the queue, as its own have" do
    told = told(<<~RUBY)
      configure(max_queue_spans: 1_234)
      subscribe
      Child.trace("job") { Child.trace("step") }
      Child.flush
      metrics = Metrics::CALLS.select { |name, _| name.start_with?("queue") }
      puts JSON.generate(rates: RESPONSES.last.service_rates, metrics: metrics.transform_values { |calls| calls.map(&:first).max })
    RUBY

    expect(told).to eq(
      "rates" => { "service:,env:" => 0.5 },
      "metrics" => { "queue.accepted" => 1, "queue.accepted_lengths" => 2, "queue.dropped" => 0, "queue.length" => 1,
                     "queue.max_length" => 1_234, "queue.spans" => 2 }
    )
  end

  %w[enable writer].each do |way|
    it "can be read from the writer as from its own, by #{way}" do
      code = <<~RUBY
        configure
        Child.trace("job")
        writer = Child.writer
        names = %i[logger transport events agent_settings stats worker start write stop]
        puts JSON.generate(readers: names.select { |name| writer.respond_to?(name) },
                           stats: writer.stats.keys & %i[traces_flushed transport],
                           logger: !writer.respond_to?(:logger) || writer.logger.equal?(Datadog.logger))
      RUBY

      control = told(code, way: "http")
      expect(told(code, way:)).to match({ **control, "readers" => include(*control["readers"]) })
    end
  end

  %w[http enable writer transport].each do |way|
    it "are logged before they are known, where the log asks for it, by #{way}" do
      told = told(<<~RUBY, way:)
        configure { |c| c.logger.level = Logger::DEBUG }
        Child.trace("job", resource: "nightly", tags: { "k" => "v" })
        Child.flush
        puts JSON.generate(lines: LOG.string.scan(/Flushing trace: (.*)/).flatten)
      RUBY

      expect(told["lines"].size).to eq(1)
      # JSON in early versions.
      expect(told["lines"].first.delete(" ").gsub("=>", ":"))
        .to include('"name":"job"', '"resource":"nightly"', '"k":"v"', '"metrics":{')
    end
  end

  it "go on when the clock was mocked" do
    told = told(<<~RUBY)
      configure
      subscribe
      await = ->(count) { Child.wait_until { Child.trace("job"); sleep 0.02; RESPONSES.size > count } }
      await.(0)
      class << Process
        attr_accessor :ahead
        alias_method :real, :clock_gettime
        def clock_gettime(id, unit = :float_second) = real(id, unit) + (unit == :float_second ? ahead.to_f : 0)
      end
      Process.ahead = 10 * 365 * 86_400
      await.(RESPONSES.size)
      Process.ahead = 0
      await.(RESPONSES.size)
      puts JSON.generate(responses: RESPONSES.size)
    RUBY

    expect(told["responses"]).to be >= 3
  end

  it "go on when a subscriber was interrupted" do
    told = told(<<~RUBY)
      configure
      interrupted = Class.new(Exception)
      interrupt = true
      Child.writer.events.after_send.subscribe { raise interrupted if interrupt }
      subscribe
      begin
        Child.trace("job")
        Child.flush
      rescue interrupted
        interrupt = false
      end
      Child.trace("job")
      Child.flush
      puts JSON.generate(interrupted: !interrupt, responses: RESPONSES.size)
    RUBY

    expect(told).to eq("interrupted" => true, "responses" => 1)
  end

  it "survive threads that are ended at any time" do
    told = told(<<~RUBY)
      configure(flush_interval: 0.001)
      subscribe
      # Each ends somewhere in between.
      deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 3
      until Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
        thread = Thread.new { loop { Child.trace("job"); Child.writer.force_flush(timeout: 1) } }
        thread.join(rand(0.01))
        thread.kill.join
      end
      RESPONSES.clear
      Child.trace("job")
      flushed = Child.flush
      puts JSON.generate(flushed: flushed, told: RESPONSES.any?)
    RUBY

    expect(told).to eq("flushed" => true, "told" => true)
  end
end
