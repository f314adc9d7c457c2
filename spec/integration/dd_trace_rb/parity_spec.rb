# frozen_string_literal: true

require_relative "../../support/dd_trace_rb"

# What real work leaves at an agent by this gem has to be what it leaves there by dd-trace-rb's own HTTP transport.
RSpec.describe "dd-trace-rb's traces" do
  include_context "with dd-trace-rb"

  # Sent by one of the two for reasons of their own.
  def headers_of(request)
    request["headers"].transform_keys(&:downcase).except(
      "host", "user-agent", "accept", "accept-encoding", "connection", "content-length", "x-datadog-trace-count",
      "x-datadog-test-session-token", "datadog-send-real-http-status", "datadog-rates-payload-version"
    )
  end

  def traced(way, file, token)
    trace_with(way, File.read(file), token:)
    [comparable(chunks(token)), trace_requests(token).map { |request| headers_of(request) }.uniq]
  end

  Dir[File.join(Support::DDTraceRb::FOLDER, "work", "*.rb")].each do |file|
    context "of #{File.basename(file, ".rb").tr("_", " ")}" do
      before(:context) do
        next if Support::DDTraceRb.absent || Support::TestAgent::EXECUTABLE.nil?

        extend Support::DDTraceRb::Children
        token = agent.start_session
        @expected, @headers = traced("http", file, token)
      end

      Support::DDTraceRb::WAYS.each do |way|
        it "arrive the same by #{way}" do
          arrived, headers = traced(way, file, agent.start_session)

          expect(@expected).not_to be_empty
          expect(arrived.map(&:size)).to eq(@expected.map(&:size))
          arrived.flatten.zip(@expected.flatten) { |span, expected| expect(span).to eq(expected) }
          expect(headers).to eq(@headers)
        end
      end
    end
  end
end
