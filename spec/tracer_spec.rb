# frozen_string_literal: true

require "json"
require "open3"
require "tmpdir"

# Transport, Writer and `enable!` beside a stand-in for dd-trace-rb. spec/integration has the same with the real one.
RSpec.describe "For users of dd-trace-rb" do
  def output(script, *arguments)
    output, errors, status = run_ruby(script, *arguments)
    expect([errors, status.exitstatus]).to eq(["", 0])
    output
  end

  # What a child with the stand-in and an agent of its own reported as JSON.
  def report(script)
    JSON.parse(output(<<~RUBY), symbolize_names: true)
      require "json"
      require "stringio"
      require #{File.expand_path("support/tracer_stand_in", __dir__).inspect}
      require "datadog/native_export/testing"
      include Datadog::NativeExport
      AGENT = Testing::Agent.start
      Datadog.configuration.agent.port = AGENT.url[/\\d+\\z/]
      def outcomes(responses)
        responses.map do |response|
          names = %i[ok? internal_error? server_error? client_error? not_found? unsupported?]
          { trace_count: response.trace_count, is: names.select { |name| response.public_send(name) } }
        end
      end
      #{script}
      AGENT.stop
    RUBY
  end

  describe "requiring this gem" do
    it "loads neither dd-trace-rb nor what needs it" do
      loaded = output("puts $LOADED_FEATURES.grep(%r{/datadog/}).map { |path| path[%r{datadog/.*}] }").split

      expect(loaded).to include("datadog/native_export/exporter.rb")
      expect(loaded.grep_v(%r{\Adatadog/native_export})).to be_empty
      expect(loaded.grep(/transport|writer|feedback|tracer/)).to be_empty
    end

    it "says that dd-trace-rb is missing where it is needed" do
      expected = ["false", *["TracerError: dd-trace-rb isn't loaded: require \"datadog\" first"] * 2]
      expect(output(<<~RUBY).lines(chomp: true)).to eq(expected)
        $stderr = File.open(File::NULL, "w")
        puts Datadog::NativeExport.enable!
        %i[Transport Writer].each do |name|
          Datadog::NativeExport.const_get(name).new
        rescue Datadog::NativeExport::TracerError => e
          puts "\#{e.class.name[/\\w+\\z/]}: \#{e.message}"
        end
      RUBY
    end
  end

  describe "where the extension can't be loaded" do
    around do |example|
      Dir.mktmpdir do |folder|
        FileUtils.mkdir_p("#{folder}/datadog_native_export")
        File.write("#{folder}/datadog_native_export/datadog_native_export.rb", 'raise LoadError, "wrong ELF class"')
        @folder = folder
        example.run
      end
    end

    def run_without(script)
      Open3.capture3(RbConfig.ruby, "-I", @folder, "-I", Support::Processes::LIB, "-e", script)
    end

    it "boots, and enable! leaves the tracer alone with one line" do
      stand_in = File.expand_path("support/tracer_stand_in", __dir__)
      output, errors, status = run_without(<<~RUBY)
        require #{stand_in.inspect}
        require "datadog/native_export"
        p Datadog::NativeExport.enable!, Datadog.configuration.tracing.writer, Datadog::NativeExport.available?
      RUBY

      expect(status).to be_success
      expect(output).to eq("false\nnil\nfalse\n")
      expect(errors.lines.size).to eq(1)
      expect(errors).to end_with("datadog-native-export: off, the tracer keeps its own transport: wrong ELF class\n")
    end

    it "its classes say so when they are used" do
      output, = run_without(<<~RUBY)
        require "datadog/native_export"
        %i[Span TraceChunks Exporter Transport Writer].each do |name|
          Datadog::NativeExport.const_get(name).new(name: "x")
        rescue Datadog::NativeExport::UnavailableError => e
          puts e.message
        end
      RUBY

      expect(output.lines.size).to eq(5)
      expect(output.lines).to all end_with("wrong ELF class\n")
    end
  end

  describe "enable!" do
    it "makes the tracer's writer a native one, once" do
      expect(report(<<~RUBY)).to eq(enabled: [true, true], same: true, replaced: true)
        enabled = [NativeExport = Datadog::NativeExport].map(&:enable!)
        writer = Datadog.configuration.tracing.writer
        enabled << NativeExport.enable!
        same = writer.equal?(Datadog.configuration.tracing.writer)
        NativeExport.enable!(flush_interval: 2)
        puts JSON.generate(enabled: enabled, same: same, replaced: !writer.equal?(Datadog.configuration.tracing.writer))
      RUBY
    end

    it "refuses options that can't be used" do
      expect(report(<<~RUBY)).to eq(errors: %w[ArgumentError Datadog::NativeExport::ConfigurationError])
        errors = [{ intervall: 1 }, { flush_interval: 0 }].map do |options|
          Datadog::NativeExport.enable!(**options)
        rescue ArgumentError, ConfigurationError => e
          e.class.name
        end
        puts JSON.generate(errors: errors)
      RUBY
    end
  end

  describe "Transport" do
    it "answers for each outcome" do
      expect(report(<<~RUBY)).to eq(
        transport = Transport.new(wait: 10, retry_deadline: 0.1, logger: Logger.new(nil))
        broken = segment(2, id: 0)
        sent = outcomes(transport.send_traces([segment, segment(3)]))
        partly = outcomes(transport.send_traces([segment, broken, segment, Datadog::Tracing::Segment.new(nil)]))
        none = outcomes(transport.send_traces([broken]))
        AGENT.respond_with(400, {}, "no")
        refused = outcomes(transport.send_traces([segment]))
        AGENT.respond_with(503, {}, "no")
        failing = outcomes(transport.send_traces([segment]))
        AGENT.stop
        down = outcomes(transport.send_traces([segment]))
        puts JSON.generate(sent: sent, partly: partly, none: none, refused: refused, failing: failing, down: down,
                           empty: transport.send_traces([]), stats: transport.stats,
                           dropped: transport.exporter.stats[:dropped][:invalid])
      RUBY
        sent: [{ trace_count: 2, is: ["ok?"] }],
        partly: [{ trace_count: 2, is: ["internal_error?"] }, { trace_count: 2, is: ["ok?"] }],
        none: [{ trace_count: 1, is: ["internal_error?"] }],
        refused: [{ trace_count: 1, is: ["client_error?"] }],
        failing: [{ trace_count: 1, is: ["server_error?"] }],
        down: [{ trace_count: 1, is: ["internal_error?"] }],
        empty: [], stats: { ok?: 2, internal_error?: 3, client_error?: 1, server_error?: 1 }, dropped: 4
      )
    end

    it "tells traces that were accepted from those that were not" do
      expected = [{ trace_count: 2, is: ["ok?"] }, { trace_count: 1, is: ["client_error?"] }]
      expect(report(<<~RUBY)).to eq(outcome: expected)
        # Three spans are too large.
        AGENT.respond_with { |request| 413 if request.body.bytesize > 800 }
        transport = Transport.new(wait: 10, logger: Logger.new(nil))
        puts JSON.generate(outcome: outcomes(transport.send_traces([segment, segment(8), segment])))
      RUBY
    end

    it "says that it knows no answer yet, and goes on" do
      expect(report(<<~RUBY)).to include(outcome: [{ trace_count: 1, is: ["internal_error?"] }], arrived: 1)
        gate = Queue.new
        AGENT.respond_with { |_| gate.pop }
        transport = Transport.new(wait: 0.1, agent_timeout: 20)
        outcome = outcomes(transport.send_traces([segment]))
        gate << nil
        transport.flush(timeout: 20)
        puts JSON.generate(outcome: outcome, arrived: AGENT.spans.size)
      RUBY
    end

    it "goes where the tracer's settings say when it comes back to life" do
      expect(report(<<~RUBY)).to include(first: 1, second: 1, closed: [true, true])
        second = Testing::Agent.start
        transport = Transport.new(wait: 10)
        transport.send_traces([segment])
        closed = [transport.close, transport.close]
        Datadog.configuration.agent.port = second.url[/\\d+\\z/]
        transport.send_traces([segment])
        puts JSON.generate(first: AGENT.spans.size, second: second.spans.size, closed: closed)
        second.stop
      RUBY
    end
  end

  describe "Writer" do
    it "runs the tracer's pipeline and metrics" do
      expect(report(<<~RUBY)).to eq(accepted: 2, dropped: 0, associated: 3, names: %w[changed changed])
        writer = Writer.new
        change = lambda do |segment|
          next if segment.spans.size == 3

          Datadog::Tracing::Segment.new([Support::TracerSpan.build(name: "changed")])
        end
        Datadog::Tracing::Pipeline.processors = [change]
        [1, 2, 3].each { |size| writer.write(segment(size)) }
        writer.write(segment(0))
        writer.write(nil)
        writer.force_flush(timeout: 10)
        puts JSON.generate(accepted: writer.stats[:traces_accepted], dropped: writer.stats[:traces_dropped],
                           associated: Datadog::Tracing::Runtime::Metrics.associated.size,
                           names: AGENT.spans.map { |span| span["name"] })
      RUBY
    end

    it "never raises, whatever is wrong" do
      expect(report(<<~RUBY)).to eq(dropped: 4, accepted: 1, arrived: 1, told: 1)
        log = StringIO.new
        Datadog.logger = Logger.new(log)
        writer = Writer.new
        writer.events.after_send.subscribe { raise "subscriber" }
        writer.write(segment(1, id: 0))
        writer.write(Datadog::Tracing::Segment.new(Object.new.tap { |spans| def spans.empty? = false }))
        writer.write(segment)
        writer.force_flush(timeout: 10)
        writer.stop
        Datadog::Tracing::Pipeline.processors = [->(_) { raise NotImplementedError, "processor" }]
        writer.write(segment)
        writer.force_flush(timeout: 10)
        Datadog::Tracing::Pipeline.processors = []
        def (Datadog::Tracing::Runtime::Metrics).associate_trace(*) = raise("metrics")
        Datadog.configuration.agent.hostname = "no host"
        2.times { writer.write(segment) }
        writer.stop
        puts JSON.generate(dropped: writer.stats[:traces_dropped] - 1, accepted: writer.stats[:traces_accepted],
                           arrived: AGENT.spans.size, told: log.string.scan("keeps its own transport: agent_url").size)
      RUBY
    end

    it "tells of the agent's rates and of failures" do
      expect(report(<<~RUBY)).to eq(
        told = []
        writer = Writer.new(flush_interval: 0.01, retry_deadline: 0.05, logger: Logger.new(nil))
        writer.events.after_send.subscribe do |by, responses|
          told << { by: by.equal?(writer), rates: responses.last.service_rates, is: outcomes(responses).map { |o| o[:is] } }
        end
        writer.write(segment)
        writer.force_flush(timeout: 10)
        AGENT.respond_with(403, {}, "no")
        writer.write(segment)
        writer.force_flush(timeout: 10)
        AGENT.stop
        writer.write(segment)
        writer.stop
        puts JSON.generate(told: told, stats: writer.stats[:transport],
                           health: Datadog.health_metrics.calls.slice(:queue_accepted, :queue_accepted_lengths).transform_values(&:sum))
      RUBY
        told: [
          { by: true, rates: { "service:,env:": 1.0 }, is: [["ok?"]] },
          { by: true, rates: nil, is: [["client_error?"]] },
          { by: true, rates: nil, is: [["internal_error?"]] }
        ],
        stats: { ok?: 1, client_error?: 1, internal_error?: 1 },
        health: { queue_accepted: 3, queue_accepted_lengths: 3 }
      )
    end

    it "never waits for an agent" do
      hung_agent do |url|
        took = report(<<~RUBY).fetch(:took)
          Datadog.configuration.agent.port = #{url[/\d+\z/]}
          writer = Writer.new(shutdown_timeout: 0.1, flush_interval: 0.01)
          writer.write(segment)
          took = 100.times.map do
            started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
            writer.write(segment)
            sleep 0.001
            Process.clock_gettime(Process::CLOCK_MONOTONIC) - started
          end
          puts JSON.generate(took: took.sort[50])
          $stdout.flush
          exit!(0)
        RUBY

        # An answer takes 3 s to be given up.
        expect(took).to be < 0.3
      end
    end
  end
end
