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
  def load_across(puma, signal, replaced: 2)
    puma.wait_for(/Worker 1 .*booted/)
    under_load(port) do
      old = wait_for_busy(2)
      puma.signal(signal)
      wait_for_busy(replaced, beside: old)
    end
  end

  it "delivers every request's spans once across a hot restart, with the application preloaded" do
    load = nil
    run_puma(<<~RUBY) { |puma| load = load_across(puma, "USR2") }
      preload_app!
      on_restart { Traced::EXPORTER.flush(timeout: 20) }
    RUBY

    expect(ledger.count { |_, work| work.start_with?("boot") }).to eq(2)
    expect_all_spans_once(load)
  end

  it "delivers every request's spans once across a phased restart, with an exporter of the master's" do
    load = nil
    run_puma(<<~RUBY) { |puma| load = load_across(puma, "USR1") }
      preload_app! false
      require "#{Support::Servers::FOLDER}/traced"
      Traced.call("master")
    RUBY

    expect(ledger.count { |_, work| work.start_with?("boot") }).to eq(4)
    expect_all_spans_once(load)
  end

  it "delivers every request's spans once when workers are forked from one that is at work" do
    load = nil
    run_puma("fork_worker") { |puma| load = load_across(puma, "URG", replaced: 1) }

    expect_all_spans_once(load)
  end

  # What the README advises against.
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
