# frozen_string_literal: true

RSpec.describe Datadog::NativeExport::Exporter, "options" do
  include_context "with an agent"

  {
    { agent_url: "localhost:8126" } =>
      %r{agent_url: expected http\(s\)://host:port or unix:///path/to/socket, got "localhost:8126"},
    { agent_url: "ftp://agent" } => /agent_url: expected/,
    { agent_url: "/path" } => /agent_url: expected/,
    { agent_url: 8126 } => /agent_url: expected a String, got 8126/,
    { agent_url: "http://user:secret@agent" } => %r{got "http://…@agent": user names and passwords},
    { agent_url: "http://\xFF:1" } => /agent_url: expected a String/,
    { flush_interval: 0 } => /flush_interval: expected a positive number of seconds up to 31536000, got 0/,
    { flush_interval: 1e19 } => /flush_interval: expected a positive number of seconds up to 31536000, got 1/,
    { agent_timeout: "3" } => /agent_timeout: expected a positive number of seconds up to 31536000, got "3"/,
    { shutdown_timeout: Float::INFINITY } => /shutdown_timeout: expected a positive number/,
    { when_full: :block } => /when_full: expected one of :drop_newest, :drop_oldest, got :block/,
    { max_payload_bytes: 0 } => /max_payload_bytes: expected an Integer of 1 or more, got 0/,
    { retry_deadline: -1 } => /retry_deadline: expected a positive number/,
    { max_queue_spans: 0 } => /max_queue_spans: expected an Integer of 1 or more, got 0/,
    { max_queue_bytes: 1.5 } => /max_queue_bytes: expected an Integer of 1 or more, got 1.5/,
    { tracer_version: "1\n2" } => /tracer_version: expected printable ASCII/,
    { headers: "X: y" } => /headers: expected a Hash of Strings, got a String/,
    { headers: { "X-Own" => 3 } } => /headers: expected a Hash of Strings, got a Hash with 3/,
    { headers: { "no name" => "x" } } => /headers: "no name": invalid HTTP header name/,
    { headers: { "X-Own" => "a\nb" } } => /headers: "X-Own": expected printable ASCII/,
    { headers: { "Content-Length" => "3" } } => /headers: "Content-Length": this header can't be chosen/,
    { span_events: 1 } => /span_events: expected one of true, false, got 1/,
    { client_computed_stats: "no" } => /client_computed_stats: expected one of true, false, got "no"/,
    { logger: :none } => /logger: expected an object with the method warn, got Symbol/,
    { test_session_token: "" } => /test_session_token: expected text, got an empty String/
  }.each do |option, message|
    it "refuses #{option}", :untyped do
      expect { described_class.new(**option) }.to raise_error(Datadog::NativeExport::ConfigurationError, message)
    end
  end

  # Copying it could take more memory than there is.
  large = "x" * (2**20)
  { env: large, agent_url: large, headers: { "X-Own" => large } }.each do |option, value|
    it "refuses #{option} of megabytes before it is copied" do
      expect { described_class.new(option => value) }
        .to raise_error(Datadog::NativeExport::ConfigurationError, /^#{option}: .*a String of 1048576 bytes, more than/)
    end
  end

  it "refuses a URL that is longer than HTTP libraries take" do
    expect { described_class.new(agent_url: "http://agent/#{"x" * 65_500}") }
      .to raise_error(Datadog::NativeExport::ConfigurationError, %r{got "http://agent": it is too long})
  end

  it "are shown short" do
    expect(build_exporter("http://127.0.0.1:1").inspect)
      .to eq("#<Datadog::NativeExport::Exporter http://127.0.0.1:1>")
  end
end
