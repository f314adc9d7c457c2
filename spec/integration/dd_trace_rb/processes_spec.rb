# frozen_string_literal: true

require "net/http"
require_relative "../../support/dd_trace_rb"

# Forks and ends of processes that trace with the real dd-trace-rb.
RSpec.describe "Processes that trace with dd-trace-rb" do
  include_context "with dd-trace-rb"

  let(:token) { agent.start_session }

  def resources
    chunks(token).flatten.map { |span| span["resource"] }.sort
  end

  Support::DDTraceRb::WAYS.each do |way|
    context "by #{way}" do
      it "send what was traced last when they end, whichever way they shut the tracer down" do
        trace_with(way, <<~RUBY, token:)
          Child.configure
          Child.trace(resource: "before")
          Datadog.shutdown! if #{way.size.odd?}
        RUBY

        expect(resources).to eq(["before"])
      end

      it "fork" do
        trace_with(way, <<~RUBY, token:)
          Child.configure
          Child.trace(resource: "parent")
          pids = Array.new(3) { |index| fork { Child.trace(resource: "child \#{index}") } }
          pids.each { |pid| Process.wait(pid) }
          Child.trace(resource: "parent again")
        RUBY

        expect(resources).to eq(["child 0", "child 1", "child 2", "parent", "parent again"])
      end

      it "become daemons" do
        trace_with(way, <<~RUBY, token:)
          Child.configure
          Child.trace(resource: "foreground")
          # The tracer's own writer leaves what it holds to a process that Process.daemon ends without a word.
          Child.writer.stop
          Datadog.configure { |c| c.version = "2" }
          Process.daemon(true, true)
          Child.trace(resource: "daemon")
        RUBY
        wait_until(limit: 30) { chunks(token).flatten.size == 2 }

        expect(resources).to eq(%w[daemon foreground])
      end
    end
  end

  # Runs Puma for the block, which gets the answers of all workers.
  def puma(file, environment = {})
    Dir.mktmpdir do |folder|
      port = free_port
      log = File.join(folder, "log")
      pid = spawn({ **Support::DDTraceRb::UNSET, **environment }, *Support::DDTraceRb.command, "-S", "puma",
                  "--workers", "2", "--threads", "2:2", "--preload", "--bind", "tcp://127.0.0.1:#{port}", file,
                  %i[out err] => log)
      yield "http://127.0.0.1:#{port}", log
    ensure
      Process.kill("TERM", pid)
      Process.wait(pid)
    end
  end

  # What workers say they are, once so many have answered.
  def served_by(count, url, log)
    workers = []
    wait_until(limit: 60) do
      workers |= [Net::HTTP.get(URI(url))]
      workers.size == count
    rescue SystemCallError
      false
    end
    workers
  rescue RuntimeError => e
    raise "#{e.message}: #{File.read(log)}"
  end

  %w[writer transport].each do |way|
    it "serve from the workers of a Puma cluster, by #{way}" do
      workers = puma(File.join(Support::DDTraceRb::FOLDER, "puma.ru"),
                     "CHILD" => [way, agent.url, token].join(" ")) { |url, log| served_by(2, url, log) }

      expect(resources.grep(/worker/).uniq).to eq(workers.sort)
      expect(resources).to include("preloaded").and include("GET 200")
    end
  end

  it "are the application among the examples" do
    Datadog::NativeExport::Testing::Agent.start do |receiver|
      answer = puma(File.expand_path("../../../examples/rack/config.ru", __dir__),
                    "DD_TRACE_AGENT_URL" => receiver.url) do |url, log|
        served_by(1, "#{url}/orders/7", log)
      end

      expect(answer).to eq(["order 7\n"])
      expect(receiver.wait_for(spans: 2).map { |span| span["name"] }).to eq(%w[order.load rack.request])
      expect(receiver.spans.first["meta"]).to include("order.id" => "7")
    end
  end
end
