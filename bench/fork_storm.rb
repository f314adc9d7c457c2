# frozen_string_literal: true

# Forks thousands of times while threads export, and checks that no child hangs and every span arrives once.
#
#   ruby bench/fork_storm.rb
#
# The environment may set FORKS=10_000 for each of AGENTS=healthy,hung,dead; BIRTHS=600, the processes that fork in the
# first milliseconds of their first export, for each way to the agent, with and without RUST_BACKTRACE;
# COMPARE=2_000, the forks that are timed in a process that exports and in one that does not; and
# AGENT_HOST=127.0.0.1. With a name, some child in thousands will not deliver: glibc's resolver has a lock that stays
# locked in a child that was forked while any thread of its parent held it.
#
# Exits with 1 if a check fails.

$LOAD_PATH.unshift(File.expand_path("../lib", __dir__))

require "datadog/native_export"
require "rbconfig"
require "timeout"
require "tmpdir"
require_relative "fork_storm/agent"
require_relative "fork_storm/births"
require_relative "fork_storm/children"
require_relative "fork_storm/fork_times"
require_relative "fork_storm/storm"

# What the parts of the storm share.
class ForkStorm
  MAIN = __FILE__
  SILENT = Class.new { def warn(*) = nil }.new

  class << self
    def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

    # One chunk of spans, from `first` on, that tell which process made them.
    def chunks(origin, first, spans)
      chunks = Datadog::NativeExport::TraceChunks.new(capacity: 1).begin_chunk(capacity: spans)
      spans.times do |i|
        chunks << Datadog::NativeExport::Span.new(
          name: "storm", service: "shop", trace_id: origin, span_id: first + i, start: 1_700_000_000_000_000_000,
          duration: 1_000, metrics: { "pid" => Process.pid }, meta: { "http.method" => "GET", "component" => "rack" }
        )
      end
      chunks
    end

    def percentile(times, percent)
      times.sort[(times.size * percent / 100.0).ceil - 1]
    end

    def judge(claims)
      claims.each { |claim, holds| puts "#{holds ? "ok    " : "FAILED"} #{claim}" }.values.all?
    end

    # In a process of its own, so that each starts alike.
    def storm(state)
      system(RbConfig.ruby, MAIN, "storm", state)
    end

    def compare(forks)
      Dir.mktmpdir do |directory|
        times = ForkTimes.compare(Agent::Handle.new("healthy", directory).urls.first, forks)
        bounds = { 50 => ForkTimes::MEDIAN_BOUND, 99 => ForkTimes::P99_BOUND }
        judge(bounds.to_h do |percent, bound|
          with, without = times.values_at("with", "without").map { |all| percentile(all, percent) * 1_000 }
          ratio = with / without
          [format("p%<percent>d of %<forks>d forks: %<with>.2f ms with an exporter, %<without>.2f ms without, ratio " \
                  "%<ratio>.2f", percent: percent, forks: forks, with: with, without: without, ratio: ratio),
           ratio < bound]
        end)
      end
    end
  end
end

def setting(name, default) = Integer(ENV.fetch(name, default.to_s).delete("_"))

case ARGV
in ["agent", state, path] then ForkStorm::Agent.new(state, path).run
in ["forking", url] then ForkStorm::ForkTimes.run(url)
in ["storm", state]
  # Children inherit what cleans up.
  directory = Dir.mktmpdir
  well = ForkStorm::Storm.new(state, directory, setting("FORKS", 10_000)).run
  FileUtils.rm_rf(directory)
  exit(well)
in ["births", url, births] then exit(ForkStorm::Births.new(url, Integer(births)).run)
in []
  $stdout.sync = true
  states = ENV.fetch("AGENTS", "healthy,hung,dead").split(",")
  well = states.map { |state| ForkStorm.storm(state) }
  births = setting("BIRTHS", 600)
  well.concat(ForkStorm::Births.run_all(births)) if births.positive?
  compared = setting("COMPARE", 2_000)
  well << ForkStorm.compare(compared) if compared.positive?
  exit(well.all?)
end
