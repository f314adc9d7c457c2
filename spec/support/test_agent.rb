# frozen_string_literal: true

require "json"
require "net/http"
require "securerandom"
require "tmpdir"

module Support
  # Datadog's own test agent, one process for all specs. Each test has a session of its own there.
  class TestAgent
    EXECUTABLE = ENV.fetch("DDAPM_TEST_AGENT", nil)
    CHECKS = %w[
      trace_count_header meta_tracer_version_header trace_content_length trace_stall meta_events_is_valid_json
    ].freeze
    # Would have it forward what it gets.
    UNSET = { "DD_API_KEY" => nil, "DD_AGENT_URL" => nil, "DD_TRACE_AGENT_URL" => nil }.freeze

    def self.shared
      @shared ||= new.tap { |agent| at_exit { agent.stop } }
    end

    # `otlp_url` is where it takes traces by OTLP.
    attr_reader :url, :socket, :otlp_url

    def initialize
      @folder = Dir.mktmpdir
      @owner = Process.pid
      @socket = File.join(@folder, "apm.socket")
      port, *others = Array.new(4) { TCPServer.open("127.0.0.1", 0) { |server| server.addr[1] } }
      @url = "http://127.0.0.1:#{port}"
      @otlp_url = "http://127.0.0.1:#{others[0]}/v1/traces"
      @pid = spawn(
        UNSET.merge("SNAPSHOT_DIR" => @folder, "ENABLED_CHECKS" => CHECKS.join(",")),
        EXECUTABLE, "--host", "127.0.0.1", "-p", port.to_s, "--otlp-http-port", others[0].to_s,
        "--otlp-grpc-port", others[1].to_s, "--web-ui-port", others[2].to_s, "--trace-uds-socket", @socket,
        "--disable-llmobs-data-forwarding",
        %i[out err] => File.join(@folder, "log")
      )
      wait_until_it_answers
    end

    def stop
      return if Process.pid != @owner

      Process.kill("TERM", @pid)
      Process.wait(@pid)
      FileUtils.remove_entry(@folder)
    end

    # A name under which the agent keeps what one test sends. `rates` go into every answer.
    def start_session(rates = {})
      SecureRandom.hex(8).tap do |token|
        get("/test/session/start", token, agent_sample_rate_by_service: JSON.generate(rates))
      end
    end

    # Spans in Arrays of traces, as the agent has decoded them.
    def traces(token)
      JSON.parse(get("/test/session/traces", token))
    end

    # OTLP requests as the agent has decoded them by OpenTelemetry's schema, in the names of its JSON encoding.
    def otlp_traces(token)
      JSON.parse(get("/test/session/traces", token, base: otlp_url.delete_suffix("/v1/traces")))
    end

    # Statistics as the agent has decoded them, sketches included.
    def stats(token) = JSON.parse(get("/test/session/stats", token))

    # Requests with `headers` and `body` (raw bytes).
    def requests(token)
      JSON.parse(get("/test/session/requests", token)).map do |request|
        { "url" => request["url"], "headers" => request["headers"], "body" => request["body"].unpack1("m") }
      end
    end

    private

    def get(path, token = nil, base: url, **parameters)
      uri = URI("#{base}#{path}")
      uri.query = URI.encode_www_form({ test_session_token: token, **parameters }.compact)
      response = Net::HTTP.get_response(uri)
      raise "#{path}: #{response.code} #{response.body}" unless response.is_a?(Net::HTTPSuccess)

      response.body
    end

    def wait_until_it_answers
      deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 30
      get("/info")
    rescue SystemCallError
      late = Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
      raise "ddapm-test-agent did not start: #{File.read(File.join(@folder, "log"))}" if late || Process.wait(@pid, 1)

      sleep 0.05
      retry
    end
  end
end

# One session for each example, where the test agent is at hand.
RSpec.shared_context "with ddapm-test-agent" do
  if Support::TestAgent::EXECUTABLE.nil?
    raise "DDAPM_TEST_AGENT must name ddapm-test-agent in CI" if ENV["CI"]

    before { skip "DDAPM_TEST_AGENT is not set; bin/test sets it" }
  end

  let(:agent) { Support::TestAgent.shared }
  let(:token) { agent.start_session }
end
