# frozen_string_literal: true

require_relative "../support/test_agent"

# What Datadog's own test agent receives, with its checks switched on.
RSpec.describe "ddapm-test-agent" do
  include_context "with ddapm-test-agent"

  let(:token) { agent.start_session({ "service:shop,env:" => 0.25 }) }

  def exporter(url = agent.url)
    build_exporter(url, test_session_token: token)
  end

  def trace
    id = (0x0123_4567_89ab_cdef << 64) | 0xfedc_ba98_7654_3210
    shared = { trace_id: id, service: "boutique-é", error: 0 }
    chunks = Datadog::NativeExport::TraceChunks.new.begin_chunk(capacity: 2)
    meta = { "http.method" => "GET", "emoji" => "🎉", "latin1" => "é".encode("ISO-8859-1") }
    chunks << build_span(**shared, name: "web.request", resource: "GET /漢字", type: "web", span_id: (1 << 64) - 1,
                                   start: Time.at(1_700_000_000, 5, :nanosecond), duration: 12_000_000, meta:,
                                   metrics: { "_sampling_priority_v1" => 1, "rate" => 0.5 })
    chunks << build_span(**shared, name: "db.query", resource: "SELECT 1", type: "sql", span_id: 8,
                                   parent_id: (1 << 64) - 1, error: 1, meta: { "error.message" => "no\0body" })
  end

  def expected_trace
    [
      {
        "name" => "web.request", "service" => "boutique-é", "resource" => "GET /漢字", "type" => "web",
        "trace_id" => 0xfedc_ba98_7654_3210, "span_id" => (1 << 64) - 1,
        "start" => 1_700_000_000_000_000_005, "duration" => 12_000_000,
        "meta" => {
          "http.method" => "GET", "emoji" => "🎉", "latin1" => "é",
          "_dd.p.tid" => "0123456789abcdef", "_dd.sdk.otlp_export" => "false"
        },
        "metrics" => { "_sampling_priority_v1" => 1.0, "rate" => 0.5 }
      },
      {
        "name" => "db.query", "service" => "boutique-é", "resource" => "SELECT 1", "type" => "sql",
        "trace_id" => 0xfedc_ba98_7654_3210, "span_id" => 8, "parent_id" => (1 << 64) - 1, "error" => 1,
        "start" => Support::Spans::START, "duration" => 1_000, "meta" => { "error.message" => "no\0body" }
      }
    ]
  end

  it "receives the spans as they were built" do
    exporter = exporter()
    expect(exporter.export(trace)).to be(true)
    expect(exporter.flush(timeout: 10)).to be(true)

    expect(agent.traces(token)).to eq([expected_trace])
    expect(exporter.stats).to include(spans_sent: 2, last_error: nil)
  end

  it "receives the headers that an agent asks for on every request" do
    exporter = exporter()
    exporter.send_trace_chunks(build_chunks(1, 2, 1), timeout: 10)
    exporter.send_trace_chunks(build_chunks(1), timeout: 10)

    requests = agent.requests(token)
    expect(requests.size).to eq(2)
    expect(requests.map { |request| request["headers"].transform_keys(&:downcase) }).to match(
      %w[3 1].zip(requests).map do |count, request|
        a_hash_including(
          "datadog-meta-lang" => "ruby",
          "datadog-meta-lang-version" => RUBY_VERSION,
          "datadog-meta-lang-interpreter" => "#{RUBY_ENGINE}-#{RUBY_PLATFORM}",
          "datadog-meta-lang-interpreter-vendor" => RUBY_ENGINE,
          "datadog-meta-tracer-version" => Datadog::NativeExport::VERSION,
          "x-datadog-trace-count" => count,
          "content-type" => "application/msgpack",
          "content-length" => request["body"].bytesize.to_s
        )
      end
    )
  end

  it "answers with sampling rates" do
    expect(exporter.send_trace_chunks(build_chunks(1), timeout: 10).service_rates).to eq("service:shop,env:" => 0.25)
  end

  it "is reached through its Unix socket" do
    expect(exporter("unix://#{agent.socket}").send_trace_chunks(trace, timeout: 10)).to be_ok
    expect(agent.traces(token)).to eq([expected_trace])
  end
end
