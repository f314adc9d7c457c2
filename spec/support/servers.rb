# frozen_string_literal: true

require "json"
require "tmpdir"
require_relative "server"
require_relative "test_agent"

module Support
  # Real servers under load, with an exporter that sends to Datadog's test agent. See servers/.
  module Servers
    FOLDER = File.join(__dir__, "servers")

    # The path of a program: this Ruby's own, or of a gem, or of a package.
    def self.program(name)
      folders = [RbConfig::CONFIG["bindir"], Gem.bindir, *ENV.fetch("PATH").split(":")]
      folders.map { |folder| File.join(folder, name) }.find { |path| File.executable?(path) }
    end

    # Includes this into an example group that needs these programs.
    def self.for(group, *programs)
      missing = programs.reject { |name| program(name) }
      missing << "ddapm-test-agent (DDAPM_TEST_AGENT)" if TestAgent::EXECUTABLE.nil?
      raise "not installed: #{missing.join(", ")}" if missing.any? && ENV["CI"]

      # Not in a hook, since those of `around` come before.
      group.metadata[:skip] = "not installed: #{missing.join(", ")}; bin/setup --test does it" if missing.any?
      group.include(self)
      group.around do |example|
        Dir.mktmpdir do |folder|
          @folder = folder
          example.run
        end
      end
    end

    attr_reader :folder

    def token = @token ||= TestAgent.shared.start_session

    # Runs a program with this gem loadable. `exporter` are options beside those that lead to the agent.
    def run_server(program, *arguments, exporter: {}, env: {}, &block)
      options = { agent_url: TestAgent.shared.url, test_session_token: token, shutdown_timeout: 20, **exporter }
      env = {
        # Not `-I`, which Unicorn forgets when it starts itself anew.
        "RUBYLIB" => [Processes::LIB, ENV.fetch("RUBYLIB", nil)].compact.join(":"),
        "EXPORTER" => JSON.generate(options), "LEDGER" => ledger_path, **env
      }
      Server.run(Servers.program(program), *arguments, env:, chdir: folder, &block)
    end

    def write(name, text)
      File.join(folder, name).tap { |path| File.write(path, text) }
    end

    def ledger_path = File.join(folder, "ledger")

    # What was done: pid and name of each piece of work.
    def ledger
      # The last line may be half written.
      File.exist?(ledger_path) ? File.readlines(ledger_path).grep(/\n\z/).map { |line| line.chomp.split(" ", 2) } : []
    end

    # The processes that have done at least so many pieces of work.
    def pids(least)
      ledger.map(&:first).tally.select { |_, count| count >= least }.keys
    end

    # Waits until so many processes beside those have done a good deal of work. Returns all that did any.
    def wait_for_busy(processes, beside: [])
      wait_until(limit: 60) { (pids(100) - beside).size >= processes }
      pids(1)
    end

    # How often each span has arrived, by pid, work and name.
    def arrived
      TestAgent.shared.traces(token).flatten(1)
               .map { |span| [span["meta"]["pid"], span["resource"], span["name"]] }.tally
    end

    # The work of which anything has arrived.
    def arrived_work = arrived.keys.map { |_, work, _| work }.uniq

    # What should have arrived: every span of the work done, once.
    def due
      ledger.flat_map { |work| %w[request query render].map { |name| [*work, name] } }.tally
    end

    # Puts load onto a port for as long as the block takes. Returns how many requests were answered and refused.
    def under_load(port)
      script = File.join(FOLDER, "load.lua")
      Server.run(Servers.program("wrk"), "-t2", "-c8", "-d600", "-s", script, "http://127.0.0.1:#{port}") do |wrk|
        yield
        wrk.signal("INT")
        wrk.wait
        wrk.log.scan(/(answered|refused)=(\d+)/).to_h { |name, count| [name.to_sym, Integer(count)] }
      end
    end

    # @param load [Hash] what {#under_load} returned
    def expect_all_spans_once(load = nil)
      due, arrived = [self.due, self.arrived].map(&:to_a)
      # The first few say enough.
      expect([due - arrived, arrived - due].map { |spans| spans.first(5) }).to eq([[], []])
      return unless load

      # Requests that were under way when the load ended are done, but not waited for.
      expect(load).to match(answered: 1..ledger.size, refused: 0)
    end
  end
end
