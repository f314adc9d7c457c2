# frozen_string_literal: true

RSpec.describe Datadog::NativeExport::Environment do
  before { allow(File).to receive(:socket?).with(described_class::DEFAULT_SOCKET).and_return(false) }

  def warnings(env)
    [].tap { |warnings| described_class.agent_url(env) { |warning| warnings << warning } }
  end

  {
    {} => "http://127.0.0.1:8126",
    { "DD_AGENT_HOST" => "agent" } => "http://agent:8126",
    { "DD_AGENT_HOST" => "dd_agent.local" } => "http://dd_agent.local:8126",
    { "DD_AGENT_HOST" => "fd00::1" } => "http://[fd00::1]:8126",
    { "DD_TRACE_AGENT_PORT" => " 9126\n" } => "http://127.0.0.1:9126",
    { "DD_AGENT_HOST" => "agent", "DD_TRACE_AGENT_URL" => "unix:///socket" } => "unix:///socket",
    { "DD_TRACE_AGENT_URL" => "unix:/socket" } => "unix:///socket",
    { "DD_TRACE_AGENT_URL" => "UNIX://apm.socket" } => "unix://#{Dir.pwd}/apm.socket",
    { "DD_TRACE_AGENT_URL" => "HTTP://Agent:9126/" } => "http://Agent:9126",
    { "DD_TRACE_AGENT_URL" => "https://agent" } => "https://agent:443",
    { "DD_TRACE_AGENT_URL" => "http://[::1]:1/prefix?x=1#y" } => "http://[::1]:1",
    { "DD_TRACE_AGENT_URL" => "http://user:password@agent:1" } => "http://agent:1",
    { "DD_AGENT_HOST" => "", "DD_TRACE_AGENT_URL" => "", "DD_TRACE_AGENT_PORT" => " " } => "http://127.0.0.1:8126"
  }.each do |variables, url|
    it "reads #{url} from #{variables}" do
      expect(described_class.agent_url(variables)).to eq(url)
      expect(warnings(variables)).to be_empty
    end
  end

  {
    # As Kubernetes sets it for a Service that is called dd-trace-agent.
    "DD_TRACE_AGENT_PORT" => ["tcp://10.3.0.7:8126", "http", "0", "-1", "65536", "1.5"],
    "DD_AGENT_HOST" => ["a b", "http://agent", "user@agent", "\u00fc", "agent/"],
    "DD_TRACE_AGENT_URL" => ["agent:8126", "ftp://agent", "http://", "http://:1", "http://a b", "http://agent:0",
                             "unix:", "unix://", "unix:///#{"x" * 200}", "http://[::1"]
  }.each do |variable, values|
    values.each do |value|
      it "ignores #{variable}=#{value[0, 30]}, with one warning" do
        expect(described_class.agent_url({ variable => value })).to eq("http://127.0.0.1:8126")
        expect(warnings({ variable => value })).to match([/\A#{variable} is /])
      end
    end
  end

  it "takes the default socket where there is one and nothing else is said" do
    allow(File).to receive(:socket?).with(described_class::DEFAULT_SOCKET).and_return(true)

    expect(described_class.agent_url({})).to eq("unix:///var/run/datadog/apm.socket")
    expect(described_class.agent_url({ "DD_AGENT_HOST" => "agent" })).to eq("http://agent:8126")
  end

  it "never keeps an application from starting: an exporter warns, and takes the default" do
    output, errors, status = run_ruby(<<~RUBY)
      ENV["DD_TRACE_AGENT_PORT"] = "tcp://10.3.0.7:8126"
      print Datadog::NativeExport::Exporter.new.agent_url
    RUBY

    expect([output, status.exitstatus]).to eq(["http://127.0.0.1:8126", 0])
    expect(errors.lines).to match([/DD_TRACE_AGENT_PORT is not a port, and is ignored$/])
  end

  describe ".otlp_options" do
    def otlp(variables, &warn)
      described_class.otlp_options(variables.transform_keys { |name| "OTEL_EXPORTER_OTLP_#{name}" }, &warn)
    end

    {
      {} => { otlp_endpoint: "http://localhost:4318/v1/traces" },
      { "ENDPOINT" => "https://collector/otlp/" } => { otlp_endpoint: "https://collector/otlp/v1/traces" },
      { "ENDPOINT" => "http://a", "TRACES_ENDPOINT" => "http://b:1/x" } => { otlp_endpoint: "http://b:1/x" },
      { "ENDPOINT" => " ", "TRACES_ENDPOINT" => "" } => { otlp_endpoint: "http://localhost:4318/v1/traces" },
      { "PROTOCOL" => "http/json" } => { otlp_protocol: "http/json" },
      { "PROTOCOL" => "grpc", "TRACES_PROTOCOL" => "http/protobuf" } => { otlp_protocol: "http/protobuf" },
      { "HEADERS" => "a=1" } => { otlp_headers: { "a" => "1" } },
      { "HEADERS" => "a=1", "TRACES_HEADERS" => "b = x%3Dy=z, c=%2C+" } =>
        { otlp_headers: { "b" => "x=y=z", "c" => ",+" } },
      { "TIMEOUT" => "2500" } => { otlp_timeout: 2.5 },
      { "TIMEOUT" => "2500", "TRACES_TIMEOUT" => "100" } => { otlp_timeout: 0.1 }
    }.each do |variables, options|
      it "reads #{options} from #{variables}" do
        expect(otlp(variables) { |warning| raise warning }).to include(options)
      end
    end

    {
      "ENDPOINT" => ["c:4317", "http://u:s3cr3t@c", "http://", "http://c?x=s3cr3t", "http://a b"],
      "TRACES_ENDPOINT" => ["c:4318"], "PROTOCOL" => ["grpc"], "TIMEOUT" => ["0", "-1", "10s", "1e30"],
      "HEADERS" => ["s3cr3t", "=s3cr3t", "a=", "a=%FF", "a=%C3%BC", "a=b%0A", "a b=c", "Host=x"]
    }.each do |name, texts|
      texts.each do |text|
        it "ignores #{name}=#{text}, with a warning that doesn't show it" do
          warnings = []
          options = otlp(name => text) { |warning| warnings << warning }

          expect(warnings).to match([/\AOTEL_EXPORTER_OTLP_#{name}: expected .*; it is ignored\z/])
          expect(warnings.join).not_to include("s3cr3t")
          expect(options).to eq(otlp_endpoint: "http://localhost:4318/v1/traces")
        end
      end
    end
  end
end
