# frozen_string_literal: true

require_relative "../../support/dd_trace_rb"

# Transport and Writer in the hands of the real dd-trace-rb.
RSpec.describe "dd-trace-rb with native export" do
  include_context "with dd-trace-rb"

  with_agent = <<~RUBY
    require "datadog/native_export/testing"
    Agent = Datadog::NativeExport::Testing::Agent
    AGENTS = []
    def start(**options) = Agent.start(**options).tap { |agent| AGENTS << agent }
    def port(agent) = Integer(agent.url[/\\d+\\z/])
    def names(agent) = agent.spans.map { |span| span["name"] }
    at_exit { AGENTS.each(&:stop) }
  RUBY

  Support::DDTraceRb::WAYS.each do |way|
    context "by #{way}" do
      it "goes to the agent of each configuration, and comes back to life after a shutdown" do
        reported = report(way, <<~RUBY)
          #{with_agent}
          first, second = start, start
          Child.configure(port: port(first))
          [["one", first, second], ["two", second, first], ["three", first, first]].each do |name, agent, following|
            Child.trace(name)
            Child.wait_until { names(agent).include?(name) }
            Datadog.configure { |c| c.agent.port = port(following) }
          end
          Child.trace("four")
          Datadog.shutdown!
          stopped = names(first)
          Datadog.configure { |c| c.agent.port = port(second) }
          Child.trace("five")
          Datadog.shutdown!
          puts JSON.generate(first: stopped, second: names(second))
        RUBY

        expect(reported).to eq("first" => %w[one three four], "second" => %w[two five])
      end

      it "finds the agent by a Unix socket" do
        token = agent.start_session
        trace_with(way, 'Child.configure; Child.trace("by socket")', agent: "unix://#{agent.socket}", token:)

        expect(chunks(token).flatten.map { |span| span["name"] }).to eq(["by socket"])
      end

      it "gives the agent's rates to the tracer's sampler" do
        token = agent.start_session({ "service:shop,env:test" => 0.25, "service:,env:" => 0.5 })
        rate = trace_with(way, <<~RUBY, token:)
          Child.configure
          puts(Child.wait_until do
            operation = nil
            Child.trace { operation = Datadog::Tracing.active_trace }
            sleep 0.05
            operation.agent_sample_rate if operation.agent_sample_rate == 0.25
          end)
        RUBY

        expect(rate).to eq("0.25\n")
      end

      it "repairs or loses the one broken trace among a thousand, and says so" do
        # One line when losses begin, and maybe one when they end.
        reported = report(way, <<~RUBY, errors: 1..2)
          #{with_agent}
          agent = start
          Child.configure(port: port(agent))
          1_000.times do |index|
            Child.trace("root", resource: index.to_s) do |root|
              Child.trace("child") { |span| span.instance_variable_get(:@meta)["text"] = "a\\xff" if index == 333 }
              root.instance_variable_set(:@id, 0) if index == 666
            end
          end
          Child.flush
          spans = agent.spans
          puts JSON.generate(resources: spans.filter_map { |span| span["resource"] if span["name"] == "root" },
                             text: spans.filter_map { |span| span["meta"]["text"] }, spans: spans.size)
        RUBY

        expect(reported["resources"].map(&:to_i).sort).to eq([*0..999] - [666])
        expect(reported).to include("text" => ["a\uFFFD"], "spans" => 1_998)
        expect(reported["errors"]).to include("Spans are being lost (invalid)", "spans[1].span_id")
      end
    end
  end
end
