# frozen_string_literal: true

require_relative "../../support/servers"

# Sidekiq, ended in the middle of its work.
RSpec.describe "Sidekiq" do
  # Redis is one program under several names. By this one it comes without a service of the system.
  Support::Servers.for(self, "sidekiq", "redis-check-rdb")

  def with_redis
    redis = [Support::Servers.program("redis-check-rdb"), "redis-server"]
    socket = File.join(folder, "redis.socket")
    Support::Server.run(redis, "--port", "0", "--unixsocket", socket, "--save", "", chdir: folder) do |server|
      server.wait_for(/ready to accept connections/)
      @redis_url = "unix://#{socket}"
      yield
    end
  end

  # @param jobs [Hash{String => Numeric}] queued at the start: name to seconds
  def run_sidekiq(jobs, **options, &)
    env = { "REDIS_URL" => @redis_url, "JOBS" => JSON.generate(jobs) }
    run_server("sidekiq", "-r", File.join(Support::Servers::FOLDER, "jobs.rb"), "-c", "5", "-t", "2",
               env:, **options, &)
  end

  around { |example| with_redis { example.run } }

  it "delivers every job's spans once, across a restart" do
    jobs = (1..200).to_h { |i| ["job #{i}", 0.01] }
    run_sidekiq(jobs) do |sidekiq|
      wait_until(limit: 60) { ledger.size >= 50 }
      sidekiq.signal("TERM")
      expect(sidekiq.wait).to be_success
    end
    expect(ledger.size).to be < 200
    run_sidekiq({}) do |sidekiq|
      wait_until(limit: 60) { ledger.size >= 200 }
      sidekiq.signal("TERM")
      sidekiq.wait
      expect(sidekiq.log).not_to match(/spans are lost|panicked/)
    end

    expect(ledger.map(&:last)).to match_array(jobs.keys)
    expect_all_spans_once
  end

  it "ends in time while the agent hangs, and says how many spans are lost" do
    hung_agent do |url|
      # The last job takes longer than Sidekiq waits.
      jobs = { **(1..20).to_h { |i| ["job #{i}", 0] }, "long" => 600 }
      exporter = { agent_url: url, agent_timeout: 300, retry_deadline: 300, shutdown_timeout: 1 }
      run_sidekiq(jobs, exporter:) do |sidekiq|
        wait_until(limit: 60) { ledger.size == 21 }
        sidekiq.signal("TERM")
        sidekiq.wait_for(/Bye!/)
        # Nothing but the exporter is left to wait for.
        expect(elapsed { expect(sidekiq.wait).to be_success }).to be < 10
        expect(sidekiq.log.scan(/(\d+) spans are lost: the process ends/)).to eq([["63"]])
      end
    end
  end
end
