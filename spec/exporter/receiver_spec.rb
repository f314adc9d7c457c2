# frozen_string_literal: true

# Who receives the spans of an exporter, by its options and the environment.
RSpec.describe Datadog::NativeExport::Exporter, "receiver" do
  def build(variables = {}, **options)
    variables = variables.transform_keys(&:to_s)
    allow(ENV).to receive(:[]).and_call_original
    allow(ENV).to receive(:[]).with(/\A(OTEL_|DD_TRACE_STATS)/) { |name| variables[name] }
    @lines = []
    logger = Struct.new(:lines) { def warn(line) = lines << line }.new(@lines)
    described_class.new(logger:, **options)
  end

  def warnings
    wait_until { @lines.any? }
    @lines
  end

  collector = "http://collector:4318/v1/traces"

  {
    [{}, {}] => nil,
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318" }, {}] => nil,
    [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: collector }, {}] => nil,
    [{ OTEL_TRACES_EXPORTER: "none" }, {}] => nil,
    [{ OTEL_TRACES_EXPORTER: "otlp" }, {}] => "http://localhost:4318/v1/traces",
    [{ OTEL_TRACES_EXPORTER: "console, OTLP", OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318/" }, {}] => collector,
    [{ OTEL_TRACES_EXPORTER: "otlp" }, { agent_url: "http://agent" }] => nil,
    [{ OTEL_TRACES_EXPORTER: "otlp" }, { stats: true }] => nil,
    [{ OTEL_TRACES_EXPORTER: "otlp" }, { otlp_endpoint: collector }] => collector,
    [{}, { otlp_endpoint: "http://collector:4318" }] => collector,
    [{}, { otlp_endpoint: "http://collector:4318/" }] => collector,
    [{}, { otlp_endpoint: "https://collector/api/otlp" }] => "https://collector/api/otlp"
  }.each do |(variables, options), endpoint|
    it "is #{endpoint || "the agent"} by #{variables} and #{options}" do
      expect(build(variables, **options).otlp_endpoint).to eq(endpoint)
      expect(@lines).to be_empty
    end
  end

  {
    { otlp_endpoint: "collector:4318" } => %r{otlp_endpoint: expected http\(s\)://host:port/path, got "collector:4318"},
    { otlp_endpoint: "unix:///run/collector" } => /otlp_endpoint: expected http/,
    { otlp_endpoint: "http://user:secret@collector" } => %r{got "http://…@collector": user names},
    { otlp_endpoint: collector, otlp_protocol: "grpc" } => %r{otlp_protocol: gRPC is not .* "http/protobuf"},
    { otlp_endpoint: collector, otlp_protocol: "http" } => %r{otlp_protocol: expected "http/protobuf" or "http/json"},
    { otlp_endpoint: collector, otlp_headers: { "a" => "b\n" } } => /otlp_headers: "a": expected printable ASCII/,
    { otlp_endpoint: collector, otlp_timeout: 0 } => /otlp_timeout: expected a positive number of seconds/,
    { otlp_headers: { "a" => "b" } } => /otlp_headers: has no effect without otlp_endpoint/,
    { otlp_endpoint: collector, agent_url: "http://a" } =>
      /agent_url and otlp_endpoint can't both be set: spans go to one/,
    { otlp_endpoint: collector, stats: true } => /stats and otlp_endpoint can't both be set: OTLP collectors take no/,
    { stats: true, client_computed_stats: true } => /stats and client_computed_stats can't both be set: statistics are/
  }.each do |options, message|
    it "refuses #{options}" do
      expect { build(**options) }.to raise_error(Datadog::NativeExport::ConfigurationError, message)
    end
  end

  {
    { otlp_endpoint: 4318 } => /otlp_endpoint: expected a String, got 4318/,
    { otlp_endpoint: collector, otlp_headers: "a=b" } => /otlp_headers: expected a Hash of Strings, got a String/,
    { stats: "yes" } => /stats: expected one of true, false, got "yes"/,
    { service: 1 } => /service: expected a String, got 1/
  }.each do |options, message|
    it "refuses #{options}, which is of a wrong class", :untyped do
      expect { build(**options) }.to raise_error(Datadog::NativeExport::ConfigurationError, message)
    end
  end

  it "ignores that statistics are asked for by the environment where there can't be any" do
    build({ DD_TRACE_STATS_COMPUTATION_ENABLED: "true" }, otlp_endpoint: collector)
    expect(warnings).to match([/DD_TRACE_STATS_COMPUTATION_ENABLED is ignored, since otlp_endpoint is set: OTLP/])

    build({ DD_TRACE_STATS_COMPUTATION_ENABLED: "true" }, client_computed_stats: true)
    expect(warnings).to match([/DD_TRACE_STATS_COMPUTATION_ENABLED is ignored, since client_computed_stats is set/])
  end

  it "is shown by its address" do
    expect(build(otlp_endpoint: "http://collector:4318/s3cr3t").inspect)
      .to eq("#<Datadog::NativeExport::Exporter http://collector:4318>")
  end

  it "gets the headers for collectors, and no others" do
    Datadog::NativeExport::Testing::Agent.start do |server|
      exporter = build({ OTEL_EXPORTER_OTLP_HEADERS: "x-a=1,x-b=b%20b" }, otlp_endpoint: server.url,
                                                                          headers: { "DD-API-KEY" => "s3cr3t" })
      exporter.send_trace_chunks(build_chunks(1), timeout: 10)

      expect(server.requests[0].headers).to include("x-a" => "1", "x-b" => "b b")
      expect(server.requests[0].headers.keys).not_to include("dd-api-key")
    end
  end
end
