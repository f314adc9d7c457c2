# frozen_string_literal: true

require_relative "../../support/servers"

# A worker that forks for every job, like Resque's.
RSpec.describe "A fork per job" do
  Support::Servers.for(self)

  # Runs 50 jobs, each in a process that ends as `ending` says. The parent exports as well.
  def run_jobs(ending, **exporter)
    write("worker.rb", <<~RUBY)
      require "#{Support::Servers::FOLDER}/traced"
      50.times do |i|
        Traced.call("parent \#{i}")
        pid = fork do
          Traced.call("job \#{i}")
          #{ending}
        end
        Process.wait(pid)
        puts "job \#{i}: \#{$?}" unless $?.success?
      end
    RUBY
    run_server("ruby", "worker.rb", exporter:) do |worker|
      expect(worker.wait).to be_success
      expect(worker.log).to eq("")
    end
    expect(ledger.size).to eq(100)
  end

  it "delivers every job's spans once when jobs end by exit" do
    run_jobs("exit")
    expect_all_spans_once
  end

  it "delivers every job's spans once when jobs end by exit! after a flush" do
    run_jobs("Traced::EXPORTER.flush(timeout: 20) and exit!(true)")
    expect_all_spans_once
  end

  # What docs/operations.md advises against.
  it "loses the jobs' spans when jobs end by exit! without a flush" do
    run_jobs("exit!(true)", flush_interval: 3_600)
    expect(arrived_work).to match_array((0...50).map { |i| "parent #{i}" })
  end
end
