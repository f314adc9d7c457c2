# frozen_string_literal: true

require_relative "../../support/servers"

# Puma in cluster mode, restarted under load in each of its ways.
RSpec.describe "Puma" do
  Support::Servers.for(self, "puma", "wrk")

  let(:port) { free_port }
  let(:app) { File.join(Support::Servers::FOLDER, "config.ru") }

  def run_puma(settings, **options)
    config = write("puma.rb", <<~RUBY)
      bind "tcp://127.0.0.1:#{port}"
      workers 2
      threads 8, 8
      #{settings}
    RUBY
    run_server("puma", "-C", config, "-e", "production", app, **options) do |puma|
      yield puma
      puma.signal("TERM")
      puma.wait
      expect(puma.log).not_to match(/spans are lost|panicked/)
    end
  end

  # Load before, during and after a restart, until new workers have done some of it.
  def load_across(puma, signal, replaced:)
    puma.wait_for(/Worker 1 .*booted/)
    under_load(port) do
      old = wait_for_busy(2)
      puma.signal(signal)
      wait_for_busy(replaced, beside: old)
    end
  end

  # The configuration, the signal, how many workers it replaces, and how many processes boot the application.
  {
    "across a hot restart, with the application preloaded" => [<<~RUBY, "USR2", 2, 2],
      preload_app!
      on_restart { Traced::EXPORTER.flush(timeout: 20) }
    RUBY
    "across a phased restart, with an exporter of the master's" => [<<~RUBY, "USR1", 2, 4],
      preload_app! false
      require "#{Support::Servers::FOLDER}/traced"
      Traced.call("master")
    RUBY
    "when workers are forked from one that is at work" => ["fork_worker", "URG", 1, nil]
  }.each do |name, (settings, signal, replaced, boots)|
    it "delivers every request's spans once #{name}" do
      load = nil
      run_puma(settings) { |puma| load = load_across(puma, signal, replaced:) }

      expect(ledger.count { |_, work| work.start_with?("boot") }).to eq(boots) if boots
      expect_all_spans_once(load)
    end
  end

  # What docs/operations.md advises against.
  it "loses with a hot restart what the master had queued and didn't flush" do
    run_puma("preload_app!", exporter: { flush_interval: 3_600 }) do |puma|
      puma.wait_for(/Worker 1 .*booted/)
      puma.signal("USR2")
      puma.wait_for(/Worker 1 .*booted.*Worker 1 .*booted/m)
    end

    first, second = ledger.map(&:last)
    expect(arrived_work).to eq([second])
    expect(first).to start_with("boot")
  end
end
