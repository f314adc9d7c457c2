# frozen_string_literal: true

require_relative "../../support/servers"

# Unicorn with the application preloaded.
RSpec.describe "Unicorn" do
  Support::Servers.for(self, "unicorn", "wrk")

  let(:port) { free_port }
  let(:app) { File.join(Support::Servers::FOLDER, "config.ru") }

  def run_unicorn(**options)
    config = write("unicorn.rb", <<~RUBY)
      listen "127.0.0.1:#{port}"
      worker_processes 2
      preload_app true
      timeout 60
    RUBY
    run_server("unicorn", "-c", config, "-E", "production", app, **options) do |unicorn|
      unicorn.wait_for(/worker=1 ready/)
      yield unicorn
      unicorn.wait
      expect(unicorn.log).not_to match(/spans are lost|panicked/)
    end
  end

  # Its master says so in the ledger.
  def masters = ledger.filter_map { |pid, work| Integer(pid) if work.start_with?("boot") }

  it "delivers every request's spans once when a new master takes over" do
    load = nil
    run_unicorn do |unicorn|
      load = under_load(port) do
        old = wait_for_busy(2)
        unicorn.signal("USR2")
        wait_for_busy(2, beside: old)
        unicorn.signal("QUIT")
        unicorn.wait_for(/master complete/)
      end
      unicorn.signal("QUIT", masters.last)
    end

    expect(masters.size).to eq(2)
    expect_all_spans_once(load)
  end

  # What docs/operations.md advises against.
  %w[TERM INT].each do |signal|
    it "loses what its workers had queued when it is stopped by #{signal}" do
      load = nil
      run_unicorn(exporter: { flush_interval: 3_600 }) do |unicorn|
        load = under_load(port) { wait_for_busy(2) }
        unicorn.signal(signal)
      end

      expect(load).to match(answered: 100.., refused: 0)
      expect(arrived_work).to eq(["boot #{masters.first}"])
    end
  end
end
