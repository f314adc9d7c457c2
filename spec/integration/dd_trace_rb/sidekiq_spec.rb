# frozen_string_literal: true

require_relative "../../support/dd_trace_rb"
require_relative "../../support/server"

# Sidekiq with a Redis server, by the tracer's own transport and by this gem: what arrives of each job has to be equal.
RSpec.describe "Sidekiq with dd-trace-rb" do
  include_context "with dd-trace-rb"

  # The server comes under this name too, and without a service of the system.
  redis = ENV.fetch("PATH").split(":").map { |folder| File.join(folder, "redis-check-rdb") }
             .find { |path| File.executable?(path) }
  before { skip("Redis is not installed; bin/setup --test does it") unless redis }
  before { skip("sidekiq is not installed") if Gem::Specification.find_all_by_name("sidekiq").empty? }

  folder = File.join(Support::DDTraceRb::FOLDER, "sidekiq")

  around do |example|
    next example.run unless redis

    Dir.mktmpdir do |temporary|
      port = free_port
      Support::Server.run([redis, "redis-server"], "--port", port.to_s, "--save", "", "--dir", temporary) do |server|
        server.wait_for(/Ready to accept connections/)
        @redis = "redis://127.0.0.1:#{port}/0"
        example.run
      end
    end
  end

  def environment(way, token)
    { **Support::DDTraceRb::UNSET, "CHILD" => [way, agent.url, token].join(" "), "REDIS_URL" => @redis }
  end

  # Asks for jobs in a process of its own.
  def ask(way, token, folder)
    script = <<~RUBY
      Child.trace("request") { Newsletter.perform_async(20) }
      Child.trace("failing") { Mail.perform_async("") }
    RUBY
    output, status = Open3.capture2e(environment(way, token), *Support::DDTraceRb.command,
                                     "-r", File.join(folder, "jobs"), "-e", script)
    expect(status).to be_success, output
  end

  # What has arrived of jobs when all of them are done, whoever did them and in whichever order.
  def traced(way, folder)
    token = agent.start_session
    ask(way, token, folder)
    command = [*Support::DDTraceRb.command, "-S", "sidekiq", "-r", File.join(folder, "jobs.rb"), "-c", "4"]
    Support::Server.run(*command, env: environment(way, token), chdir: folder) do |server|
      wait_until(limit: 60) { server.log.scan(/class=\w+ .*(?:done|fail)/).size >= 22 }
      server.signal("TERM")
      server.wait
    end
    chunks(token).select { |chunk| chunk.any? { |span| %w[request failing sidekiq.job].include?(span["name"]) } }
  end

  # Chunks by themselves, without ids, which depend on the others.
  def summaries(chunks)
    chunks.map { |chunk| comparable([chunk]).first.map { |span| span.except("span_id", "trace_id", "parent_id") } }
          .sort_by(&:inspect)
  end

  control = []

  %w[enable writer transport].each do |way|
    it "sends the same of each job, and joins those who ask and those who do, by #{way}" do
      control[0] ||= summaries(traced("http", folder))
      chunks = traced(way, folder)
      arrived = summaries(chunks)

      expect(arrived.size).to eq(control[0].size)
      arrived.zip(control[0]) { |chunk, expected| expect(chunk).to eq(expected) }
      traces = chunks.flatten.group_by { |span| span["trace_id"] }.values
      expect(traces.map { |spans| spans.map { |span| span["name"] }.tally }).to contain_exactly(
        { "request" => 1, "sidekiq.push" => 21, "sidekiq.job" => 21, "render" => 20 },
        { "failing" => 1, "sidekiq.push" => 1, "sidekiq.job" => 1, "render" => 1 }
      )
    end
  end
end
