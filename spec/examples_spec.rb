# frozen_string_literal: true

require_relative "support/open_telemetry"
require_relative "support/scripted_server"
require_relative "support/test_agent"

# Each program in examples/ does what it says. examples/rack is run by integration/dd_trace_rb/processes_spec.rb.
RSpec.describe "The examples" do
  include_context "with an agent"

  let(:collector) { Support::ScriptedServer.new }

  after { collector.stop }

  folder = File.expand_path("../examples", __dir__)

  # What a program prints, and the names of the spans that arrive at the agent of the environment.
  expected = {
    "hello" => [/all chunks are sent or lost\n.*spans_sent\W+1\b/, %w[hello]],
    "own_tracer" => [/spans_sent\W+2\b/, %w[order payment]],
    "forking" => [/child 2 has exported 1\b.*the parent has exported 2\n\z/m,
                  ["child 0", "child 1", "child 2", "parent after the fork", "parent before the fork"]],
    "agent_down" => [/queued 100 of 150 spans\n.*: false\n.*: true\narrived: 100 spans, lost: \{.*queue_full\W+50\}/m,
                     []],
    "testing" => [/\Aweb\.request of shop arrived with request 3\n\z/, []],
    "otlp" => [%r{\Aaccepted by http://127.0.0.1:\d+/v1/traces\n.*spans_sent\W+1\W+spans_sampled_out\W+1\b}, []],
    "statistics" => [/\Aspans that arrived: 1\nspans counted: 10\n.*sampled_out\W+9\W+stats_payloads_sent\W+1\b/, []],
    "demo" => [%r{GET /checkout.*5 of 5 spans were accepted}m, []],
    "open_telemetry" => [/spans_sent\W+2\b/, %w[http.server.request postgresql.query]]
  }
  # Why one can't be run.
  absent = { "open_telemetry" => Support::OpenTelemetry.absent }.compact

  define_method(:run_example) do |name, *arguments|
    environment = { "DD_TRACE_AGENT_URL" => agent.url, "OTEL_EXPORTER_OTLP_ENDPOINT" => collector.url,
                    "OTEL_EXPORTER_OTLP_PROTOCOL" => "http/json" }
    capture(environment, RbConfig.ruby, "-I", Support::Processes::LIB, *Support::OpenTelemetry.options,
            File.join(folder, "#{name}.rb"), *arguments)
  end

  expected.each do |name, (output, arrived)|
    it "include #{name}", skip: absent[name] do
      printed, errors, status = run_example(name)

      expect([errors, status.exitstatus]).to eq(["", 0])
      expect(printed).to match(output)
      expect(agent.spans.map { |span| span["name"] }.sort).to eq(arrived)
    end
  end

  it "send sampled traces to a collector" do
    run_example("otlp")

    expect(collector.otlp_spans.map { |span| span["name"] }).to eq(["GET /sampled"])
  end

  it "are all run" do
    expect(Dir.children(folder)).to match_array([*expected.keys.map { |name| "#{name}.rb" }, "rack"])
  end

  describe "demo" do
    it "sends to a running agent" do
      printed, errors, status = run_example("demo", "--agent", agent.url)

      expect([errors, status.exitstatus]).to eq(["", 0])
      expect(printed).to match(/\A5 of 5 spans were accepted/)
      expect(agent.traces.map(&:size)).to eq([5])
    end

    it "shows what Datadog's test agent has received" do
      skip("DDAPM_TEST_AGENT is not set; bin/test sets it") if Support::TestAgent::EXECUTABLE.nil?
      printed, errors, status = run_example("demo", "--agent", Support::TestAgent.shared.url)

      expect([errors, status.exitstatus]).to eq(["", 0])
      expect(printed).to match(%r{received it:\n.*GET /checkout.*5 of 5 spans were accepted}m)
    end

    it "fails when spans don't arrive, or when it is called wrongly" do
      agent.respond_with(400, {}, "no")
      _, errors, status = run_example("demo", "--agent", agent.url)
      _, usage, misused = run_example("demo", "--help")

      expect([errors, status.exitstatus]).to match([/400 Bad Request: no/, 1])
      expect([usage, misused.exitstatus]).to eq(["usage: bin/demo [--agent URL]\n", 1])
    end
  end
end
