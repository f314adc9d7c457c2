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

  %w[writer transport].each do |way|
    it "serve from the workers of a Puma cluster, by #{way}" do
      Dir.mktmpdir do |folder|
        port = free_port
        config = File.join(Support::DDTraceRb::FOLDER, "puma.ru")
        environment = Support::DDTraceRb::UNSET.merge("CHILD" => [way, agent.url, token].join(" "))
        pid = spawn(environment, *Support::DDTraceRb.command, "-S", "puma", "--workers", "2", "--threads", "2:2",
                    "--preload", "--bind", "tcp://127.0.0.1:#{port}", config,
                    %i[out err] => File.join(folder, "log"))
        workers = served_by(port, 2, File.join(folder, "log"))
        Process.kill("TERM", pid)
        Process.wait(pid)

        expect(resources.grep(/worker/).uniq).to eq(workers.sort)
        expect(resources).to include("preloaded").and include("GET 200")
      end
    end
  end

  # What workers say they are, once so many have answered.
  def served_by(port, count, log)
    workers = []
    wait_until(limit: 60) do
      workers |= [Net::HTTP.get(URI("http://127.0.0.1:#{port}/"))]
      workers.size == count
    rescue SystemCallError
      false
    end
    workers
  rescue RuntimeError => e
    raise "#{e.message}: #{File.read(log)}"
  end
end
