# frozen_string_literal: true

require "msgpack"
require_relative "../support/hostile"
require_relative "../support/oracle"
require_relative "../support/test_agent"

# Whatever Ruby lets somebody put into a span has to arrive as documented. ddapm-test-agent rejects a
# whole payload for one bad byte, so that its acceptance means something.
RSpec.describe "Generated spans" do
  before { skip "DDAPM_TEST_AGENT is not set; bin/test sets it" } if Support::TestAgent::EXECUTABLE.nil?

  let(:agent) { Support::TestAgent.shared }

  # Sends each span in a chunk of its own and returns them as they arrived.
  def round_trip(fields)
    token = agent.start_session
    # The test agent takes its time to look at so much.
    exporter = build_exporter(test_session_token: token, span_events: true, agent_timeout: 60, retry_deadline: 60)
    chunks = fields.each_with_object(Datadog::NativeExport::TraceChunks.new) do |span, all|
      all.begin_chunk << Datadog::NativeExport::Span.new(**span)
    end
    response = exporter.send_trace_chunks(chunks, timeout: 60)
    raise response.error unless response.ok?

    agent.requests(token).flat_map { |request| MessagePack.unpack(request["body"]).map(&:first) }
  end

  def expect_arrival(fields)
    spans = round_trip(fields)
    expect(spans.size).to eq(fields.size)
    spans.zip(fields) do |span, given|
      arrived = Support::Oracle.arrived(span)
      Support::Oracle.expected(given).each do |field, value|
        expect([field, arrived[field]]).to eq([field, value])
      end
    end
  end

  seed = Integer(ENV.fetch("HOSTILE_SEED", rand(1 << 32)))
  count = Integer(ENV.fetch("HOSTILE_SPANS", "400"))
  it "arrive as documented (HOSTILE_SEED=#{seed} HOSTILE_SPANS=#{count})" do
    hostile = Support::Hostile.new(seed)

    Array.new(count) { hostile.span }.each_slice(400) { |spans| expect_arrival(spans) }
  end

  it "arrive as documented with megabytes of text and 10,000 tags" do
    base = { name: "x", service: "x", resource: "x", type: "x", trace_id: 1, span_id: 1, parent_id: 0, start: 0,
             duration: 0, error: 0, meta: {}, metrics: {}, meta_struct: {}, links: [], events: [] }

    expect_arrival(
      [
        { **base, resource: "é" * 1_000_000, meta: { "m" * 1_000_000 => "日" * 300_000 } },
        { **base, meta: (0...10_000).to_h { |i| ["k#{i}", "v#{i}"] }, metrics: (0...10_000).to_h { |i| ["k#{i}", i] } }
      ]
    )
  end
end
