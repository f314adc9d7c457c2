# frozen_string_literal: true

require "net/http"
require "rbconfig"
require "socket"
require_relative "../support/agent"

# The Rails application of the specs, served by Puma in production mode and traced in one of the ways of `TRACED`.
class RailsServer
  FOLDER = File.expand_path("../../spec/support/dd_trace_rb/rails", __dir__)
  LIB = File.expand_path("../../lib", __dir__)
  # Ways of tracing, by what prelude.rb, which the application loads, calls them.
  TRACED = { none: nil, own: "http", native: "enable" }.freeze
  # One query, a layout, a template and two partials.
  PATH = "/orders"
  # Seconds that a server may take to boot or to end.
  PATIENCE = 60
  # The tracer, Rails and Puma change what they do by these.
  UNSET = ENV.keys.grep(/\A(_?DD_(?!TRACE_RB\z)|OTEL_|RACK_ENV\z|RAILS_|PUMA_|WEB_CONCURRENCY)/)
             .to_h { |name| [name, nil] }
  TICKS = Integer(`getconf CLK_TCK`)
  private_constant :FOLDER, :PATIENCE, :UNSET, :TICKS

  attr_reader :url

  # @param way [Symbol] a key of `TRACED`
  # @param threads [Integer]
  # @param workers [Integer] processes of a cluster; 0 for none
  # @param database [String] path
  # @param lib [String] where the native way finds this gem
  def initialize(way:, threads:, workers:, database:, lib: LIB)
    @agent_process = IO.popen([RbConfig.ruby, File.expand_path("../support/agent.rb", __dir__), "answer"], "r+")
    @agent = Agent.new(@agent_process)
    port = TCPServer.open("127.0.0.1", 0) { |listener| listener.addr[1] }
    @url = "http://127.0.0.1:#{port}#{PATH}"
    tracer = ["-r", File.expand_path("../support/dd_trace_rb", __dir__)] if TRACED.fetch(way)
    @pid = spawn(
      environment(way, "sqlite3:#{database}?pool=#{threads}"), RbConfig.ruby, "-I", lib, *tracer,
      "-S", "puma", "--quiet", "--workers", workers.to_s, "--threads", "#{threads}:#{threads}",
      *("--preload" if workers.positive?), "--bind", "tcp://127.0.0.1:#{port}", "config.ru",
      chdir: FOLDER, out: File::NULL
    )
    boot
  end

  # @return [Float] seconds of CPU that the processes of the server have used so far
  def cpu
    [@pid, *children].sum do |pid|
      # The name of the program, in brackets, may have blanks.
      File.read("/proc/#{pid}/stat").rpartition(")").last.split[11, 2].sum { |ticks| Integer(ticks) }
    end.fdiv(TICKS)
  end

  # @return [Integer] KiB that the processes of the server take up in memory
  def resident
    [@pid, *children].sum { |pid| Integer(File.read("/proc/#{pid}/status")[/^VmRSS:\s+(\d+)/, 1]) }
  end

  # Ends the server, which sends what it has.
  #
  # @return [Integer] number of spans that its agent has received
  def stop
    Process.kill("TERM", @pid)
    wait_until { ended? }
    @agent.received.first
  ensure
    kill
  end

  # Ends everything at once, if it hasn't ended.
  def kill
    Process.kill("KILL", @pid) && Process.wait(@pid) if @pid
    @pid = nil
    @agent_process.close unless @agent_process.closed?
  end

  private

  def environment(way, database)
    name = TRACED.fetch(way)
    child = [name, @agent.url, "bench"].join(" ") if name
    { **UNSET, "CHILD" => child, "DATABASE_URL" => database, "RAILS_ENV" => "production" }
  end

  def boot
    wait_until do
      Net::HTTP.get_response(URI(@url)).is_a?(Net::HTTPOK)
    rescue SystemCallError
      raise "the server didn't boot" if ended?
    end
  rescue StandardError
    kill
    raise
  end

  def ended?
    @pid = nil if @pid && Process.wait(@pid, Process::WNOHANG)
    @pid.nil?
  end

  def children = File.read("/proc/#{@pid}/task/#{@pid}/children").split

  def wait_until
    deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + PATIENCE
    until yield
      raise "not within #{PATIENCE} s" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline

      sleep 0.05
    end
  end
end
