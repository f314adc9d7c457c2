# frozen_string_literal: true

RSpec.describe Datadog::NativeExport::Environment do
  before { allow(File).to receive(:socket?).with(described_class::DEFAULT_SOCKET).and_return(false) }

  {
    {} => "http://127.0.0.1:8126",
    { "DD_AGENT_HOST" => "agent" } => "http://agent:8126",
    { "DD_AGENT_HOST" => "fd00::1" } => "http://[fd00::1]:8126",
    { "DD_TRACE_AGENT_PORT" => "9126" } => "http://127.0.0.1:9126",
    { "DD_AGENT_HOST" => "agent", "DD_TRACE_AGENT_URL" => "unix:///socket" } => "unix:///socket",
    { "DD_AGENT_HOST" => "", "DD_TRACE_AGENT_URL" => "" } => "http://127.0.0.1:8126"
  }.each do |variables, url|
    it "reads #{url} from #{variables}" do
      expect(described_class.agent_url(variables)).to eq(url)
    end
  end

  it "takes the default socket where there is one and nothing else is said" do
    allow(File).to receive(:socket?).with(described_class::DEFAULT_SOCKET).and_return(true)

    expect(described_class.agent_url({})).to eq("unix:///var/run/datadog/apm.socket")
    expect(described_class.agent_url("DD_AGENT_HOST" => "agent")).to eq("http://agent:8126")
  end
end
