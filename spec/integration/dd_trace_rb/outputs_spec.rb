# frozen_string_literal: true

require_relative "../../support/dd_trace_rb"

# Statistics and OTLP for the real dd-trace-rb, as Datadog's own test agent receives them.
RSpec.describe "dd-trace-rb with native export" do
  include_context "with dd-trace-rb"

  let(:token) { agent.start_session }

  def statistics
    agent.requests(token).select { |request| request["url"].end_with?("/v0.6/stats") }
         .map { |request| MessagePack.unpack(request["body"]) }
  end

  # Hits by resource.
  def hits
    groups = statistics.flat_map { |payload| payload["Stats"] }.flat_map { |bucket| bucket["Stats"] }
    groups.group_by { |group| group["Resource"] }.transform_values { |all| all.sum { |group| group["Hits"] } }
  end

  # One kept and two dropped traces, before and in a fork.
  traced = <<~RUBY
    def trace(name, keep)
      Child.trace(name) { |_, trace| trace.public_send(keep ? :keep! : :reject!) }
    end
    def trace_all(name)
      [true, false, false].each { |keep| trace(name, keep) }
      Child.flush
    end
    trace_all("parent")
    pid = fork { trace_all("child"); puts Datadog::Core::Environment::Identity.id }
    Process.wait(pid)
    puts Datadog::Core::Environment::Identity.id
    Datadog.shutdown!
  RUBY

  # The tracer's own writer, which uses a transport, can't be used again once it was flushed.
  %w[writer enable].each do |way|
    it "computes statistics of all traces and sends those that are kept, by #{way}" do
      trace_with(way, <<~RUBY, token:)
        Child.configure(stats: true) { |c| c.version = "1.2" }
        #{traced}
      RUBY

      expect(hits).to eq("parent" => 3, "child" => 3)
      expect(chunks(token).flatten.map { |span| span["name"] }.sort).to eq(%w[child parent])
      expect(statistics).to all include("Service" => "shop", "Env" => "test", "Version" => "1.2")
      expect(statistics.map { |payload| payload["RuntimeID"] }.uniq.size).to eq(2)
    end
  end

  it "computes statistics where the environment asks for it, in the tracer's name" do
    id = trace_with("transport", <<~RUBY, token:)
      ENV["DD_TRACE_STATS_COMPUTATION_ENABLED"] = "true"
      Child.configure
      Child.trace("job")
      Child.flush
      puts Datadog::Core::Environment::Identity.id
    RUBY

    expect(hits).to eq("job" => 1)
    expect(statistics[0]["RuntimeID"]).to eq(id.lines.last.chomp)
  end

  it "leaves statistics to nobody where APM is off" do
    trace_with("enable", <<~RUBY, token:)
      ENV["DD_TRACE_STATS_COMPUTATION_ENABLED"] = "true"
      exit unless Datadog.configuration.respond_to?(:apm)
      Child.configure { |c| c.apm.tracing.enabled = false }
      Child.trace("job")
      Child.flush
    RUBY

    expect(statistics).to be_empty
  end

  it "sends traces to an OTLP collector that enable! is given" do
    trace_with("enable", <<~RUBY, token:)
      Child.configure(otlp_endpoint: #{agent.otlp_url.inspect}, otlp_protocol: "http/json")
      #{traced}
    RUBY
    spans = agent.otlp_traces(token).flat_map { |request| request["resourceSpans"] }
                 .flat_map { |resource| resource["scopeSpans"] }.flat_map { |scope| scope["spans"] }

    expect(spans.map { |span| span["name"] }.sort).to eq(%w[child parent])
    expect(spans.map { |span| span["traceId"] }).to all match(/\A(?!0{16})\h{32}\z/)
    expect(agent.requests(token).map { |request| request["url"] }).to all end_with("/v1/traces").or end_with("/info")
  end

  it "leaves traces with the agent whatever variables of OpenTelemetry say" do
    trace_with("enable", <<~RUBY, token:, errors: 0..9)
      ENV["OTEL_TRACES_EXPORTER"] = "otlp"
      ENV["OTEL_EXPORTER_OTLP_ENDPOINT"] = ENV["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = #{agent.otlp_url.inspect}
      Child.configure
      Child.trace("job")
      Child.flush
    RUBY

    expect(chunks(token).flatten.map { |span| span["name"] }).to eq(["job"])
  end
end
