# frozen_string_literal: true

RSpec.describe Datadog::NativeExport::Exporter, "requests" do
  include_context "with an agent"

  def headers_with(**options)
    build_exporter(**options).send_trace_chunks(build_chunks(1), timeout: 10)
    agent.requests.reverse_each.find(&:trace_request?).headers
  end

  it "have the headers that were asked for" do
    plain = headers_with
    expect(plain.keys & %w[datadog-client-computed-top-level datadog-client-computed-stats x-own]).to be_empty

    own = { "X-Own" => "1", "Datadog-Container-ID" => "container" }
    expect(headers_with(headers: own, client_computed_top_level: true, client_computed_stats: true)).to include(
      "x-own" => "1", "datadog-container-id" => "container",
      "datadog-client-computed-top-level" => /\A(?!0|f|false\z)./i,
      "datadog-client-computed-stats" => /\A(?!0|f|false\z)./i
    )
  end

  # What came twice would be joined by a comma.
  it "have each header once" do
    expect(headers_with(headers: { "X-Own" => "1" })).to include(
      "x-own" => "1", "x-datadog-trace-count" => "1", "content-type" => "application/msgpack",
      "content-length" => /\A\d+\z/, "host" => agent.url.delete_prefix("http://"), "datadog-meta-lang" => "ruby",
      "datadog-meta-lang-version" => RUBY_VERSION, "datadog-meta-lang-interpreter-vendor" => RUBY_ENGINE,
      "datadog-meta-tracer-version" => Datadog::NativeExport::VERSION
    )
  end

  def sent_event(exporter)
    chunks = Datadog::NativeExport::TraceChunks.new.begin_chunk
    exporter.send_trace_chunks(chunks << build_span.add_event(name: "here", time_unix_nano: 1), timeout: 10)
    agent.spans.last
  end

  it "have span events in the form that was asked for, whatever the agent says" do
    { true => "span_events", false => "meta" }.each do |span_events, field|
      sent = sent_event(build_exporter(span_events:))

      expect(sent[field].to_s).to include("here")
      expect(sent.key?("span_events")).to be(span_events)
    end
  end

  it "have span events as such once the agent has said that it takes them" do
    exporter = build_exporter
    wait_until { sent_event(exporter).key?("span_events") }
  end

  it "have span events as JSON for an agent that doesn't take them" do
    Datadog::NativeExport::Testing::Agent.start(info: { span_events: false }) do |old|
      @agent = old
      exporter = build_exporter
      wait_until { sent_event(exporter) && agent.requests.any? { |request| request.path == "/info" } }

      expect(Array.new(10) { sent_event(exporter).key?("span_events") }).to all(be(false))
    end
  end
end
