# frozen_string_literal: true

# Neither messages nor what objects look like repeat what may be secret.
RSpec.describe "Secrets" do
  secret = "s3cr3t"
  bad = "#{secret}\xFF"

  {
    "a header's value" => { headers: { "X-Key" => secret.to_sym } },
    "a header's value with broken text" => { headers: { "X-Key" => bad } },
    "a header's line in place of its name" => { headers: { "X-Key: #{secret}" => "x" } },
    "a header's line of OTLP" => { otlp_endpoint: "http://agent", otlp_headers: { "X-Key=#{secret}" => "x" } },
    "headers that are no Hash" => { headers: "X-Key: #{secret}" },
    "a list of headers" => { headers: [["X-Key", secret]] },
    "a token" => { test_session_token: secret.to_sym },
    "a token with broken text" => { test_session_token: bad },
    "a URL with a password" => { agent_url: "http://user:#{secret}@agent" },
    "a URL without a scheme" => { agent_url: "user:#{secret}@agent:8126" },
    "a socket with a password" => { agent_url: "unix://user:#{secret}@/var/run/apm.socket" },
    "a URL with a query" => { agent_url: "http://agent/?api_key=#{secret}" },
    "a URL with broken text" => { agent_url: "http://user:#{bad}@agent" },
    "a URL that is no String" => { agent_url: :"http://user:#{secret}@agent" }
  }.each do |name, options|
    it "are not repeated for #{name}" do
      expect { Datadog::NativeExport::Exporter.new(**options) }
        .to raise_error(Datadog::NativeExport::ConfigurationError, satisfy { |message| !message.include?(secret) })
    end
  end

  it "are not in what an exporter looks like" do
    exporter = Datadog::NativeExport::Exporter.new(
      agent_url: "http://127.0.0.1:8126/#{secret}", headers: { "X-Key" => secret }, test_session_token: secret
    )

    expect(exporter.inspect).to eq("#<Datadog::NativeExport::Exporter http://127.0.0.1:8126>")
  end

  it "are not in warnings of the environment" do
    warnings = []
    [{ "DD_TRACE_AGENT_URL" => "ftp://user:#{secret}@agent" }, { "DD_TRACE_AGENT_URL" => "http://#{secret} x" },
     { "DD_AGENT_HOST" => "#{secret}@x" }, { "DD_TRACE_AGENT_PORT" => secret }].each do |env|
      Datadog::NativeExport::Environment.agent_url(env) { |warning| warnings << warning }
    end

    expect(warnings.size).to eq(4)
    expect(warnings.join).not_to include(secret)
  end
end
