# frozen_string_literal: true

# What is in force, and where it comes from.
RSpec.describe Datadog::NativeExport::Exporter, "#config" do
  variables = ["OTEL_TRACES_EXPORTER",
               *Datadog::NativeExport.const_get(:Configuration)::Options::TABLE.each_value.flat_map(&:variables)]

  around do |example|
    before = ENV.to_h.slice(*variables)
    variables.each { |name| ENV.delete(name) }
    example.run
  ensure
    variables.each { |name| ENV[name] = before[name] }
  end

  def config(env = {}, **options)
    env.each { |name, value| ENV[name] = value }
    build_exporter(nil, **options).config
  end

  it "prefers what was given to variables, and these to defaults" do
    env = { "DD_TRACE_AGENT_TIMEOUT_SECONDS" => "7", "DD_TRACE_NATIVE_SPAN_EVENTS" => "true" }

    expect(config(env, agent_timeout: 2)).to include(
      agent_timeout: { value: 2.0, source: :keyword },
      span_events: { value: true, source: "DD_TRACE_NATIVE_SPAN_EVENTS" },
      retry_deadline: { value: 10.0, source: :default }
    )
  end

  it "takes nil as if it weren't given" do
    expect(config({ "DD_TRACE_AGENT_TIMEOUT_SECONDS" => "7" }, agent_timeout: nil, headers: nil)).to include(
      agent_timeout: { value: 7.0, source: "DD_TRACE_AGENT_TIMEOUT_SECONDS" }, headers: { value: {}, source: :default }
    )
  end

  it "follows timeouts that variables set" do
    hung_agent do |url|
      ENV["DD_TRACE_AGENT_TIMEOUT_SECONDS"] = "0.2"
      exporter = build_exporter(url, retry_deadline: 0.1)

      expect(elapsed { exporter.send_trace_chunks(build_chunks(1), timeout: 30) }).to be_between(0.15, 2)
    end
  end

  {
    {} => :default,
    { "DD_TRACE_AGENT_URL" => "http://a:1", "DD_AGENT_HOST" => "b" } => "DD_TRACE_AGENT_URL",
    { "DD_AGENT_HOST" => "b" } => "DD_AGENT_HOST",
    { "DD_TRACE_AGENT_PORT" => "1" } => "DD_TRACE_AGENT_PORT",
    { "DD_AGENT_HOST" => "b", "DD_TRACE_AGENT_PORT" => "1" } => "DD_AGENT_HOST, DD_TRACE_AGENT_PORT",
    { "DD_TRACE_AGENT_URL" => "nonsense", "DD_AGENT_HOST" => "b" } => "DD_AGENT_HOST"
  }.each do |env, source|
    it "tells that the agent's address comes from #{source} with #{env}" do
      expect(config(env)[:agent_url][:source]).to eq(source)
    end
  end

  it "tells in the log of variables that can't be used, and goes on without them" do
    lines = Queue.new
    logger = Object.new
    logger.define_singleton_method(:warn) { |line| lines << line }
    config = config({ "DD_TRACE_AGENT_TIMEOUT_SECONDS" => "never", "DD_TRACE_NATIVE_SPAN_EVENTS" => "\xFF" }, logger:)

    expect(config).to include(agent_timeout: { value: 3.0, source: :default },
                              span_events: { value: nil, source: :default })
    expect([lines.pop, lines.pop]).to match([/DD_TRACE_AGENT_TIMEOUT_SECONDS: expected a positive number .*ignored/,
                                             /DD_TRACE_NATIVE_SPAN_EVENTS: expected one of true, false; it is ignored/])
  end

  it "tells where options for a collector come from, which count where there is one" do
    env = { "ENDPOINT" => "http://c:1/a/", "TRACES_TIMEOUT" => "500", "TIMEOUT" => "700", "HEADERS" => "api-key=a, x=y" }
          .transform_keys { |name| "OTEL_EXPORTER_OTLP_#{name}" }

    expect(config(env)).to include(otlp_endpoint: { value: nil, source: :default },
                                   otlp_timeout: { value: 10.0, source: :default })
    expect(config({ "OTEL_TRACES_EXPORTER" => "otlp" })).to include(
      otlp_endpoint: { value: "http://c:1/…", source: "OTEL_EXPORTER_OTLP_ENDPOINT" },
      otlp_timeout: { value: 0.5, source: "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT" },
      otlp_headers: { value: { "api-key" => "…", "x" => "…" }, source: "OTEL_EXPORTER_OTLP_HEADERS" },
      otlp_protocol: { value: "http/protobuf", source: :default }
    )
  end

  it "refuses options that there are not", :untyped do
    expect { config(agent_ulr: "x") }.to raise_error(ArgumentError, /unknown options: :agent_ulr/)
  end

  it "shows no secrets" do
    config = config(agent_url: "http://127.0.0.1:8126/s3cr3t", headers: { "X-Key" => "s3cr3t" },
                    test_session_token: "s3cr3t")

    expect(config.inspect).not_to include("s3cr3t")
    expect(config).to include(agent_url: { value: "http://127.0.0.1:8126/…", source: :keyword },
                              headers: { value: { "X-Key" => "…" }, source: :keyword })
    expect(config(agent_url: "unix:///run/apm.socket")[:agent_url][:value]).to eq("unix:///run/apm.socket")
  end

  it "can be read in all Ractors" do
    expect(Ractor.shareable?(config)).to be(true)
  end

  it "is made in any Ractor" do
    env = { "OTEL_TRACES_EXPORTER" => "otlp", "OTEL_EXPORTER_OTLP_HEADERS" => "a=b",
            "OTEL_EXPORTER_OTLP_TIMEOUT" => "5", "OTEL_EXPORTER_OTLP_PROTOCOL" => "http/json",
            "DD_TRACE_NATIVE_SPAN_EVENTS" => "1", "DD_TRACE_AGENT_TIMEOUT_SECONDS" => "1",
            "DD_TRACE_STATS_COMPUTATION_ENABLED" => "true" }
    output, errors, = run_ruby(<<~RUBY, env:)
      Warning[:experimental] = false
      collector = Ractor.new { Datadog::NativeExport::Exporter.new.config }.take
      agent = Ractor.new do
        Datadog::NativeExport::Exporter.new(agent_url: "http://127.0.0.1:1", headers: { "a" => "b" }, stats: false).config
      end.take
      print collector[:otlp_protocol][:value], agent[:headers][:source]
    RUBY

    expect([output, errors]).to eq(["http/jsonkeyword", ""])
  end
end
