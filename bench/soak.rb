# frozen_string_literal: true

# Exports millions of spans to an agent that keeps going away, and checks that they are all accounted for
# and that memory does not grow.
#
#   ruby bench/soak.rb
#
# The environment may set SPANS=10_000_000, THREADS=3, the seconds that the agent is there (UP=3; for less in
# short runs) and AWAY=1, and the MiB by which the process may grow after a quarter of the spans, MAX_GROWTH=16.
#
# glibc gives each thread an arena. Spans are allocated on some threads and freed on another, so that arenas fill
# up with holes one after the other, which takes tens of MiB and can't be told from a leak. Hence MALLOC_ARENA_MAX=1,
# unless it is set.
#
# Exits with 1 if a check fails. Needs /proc.

$LOAD_PATH.unshift(File.expand_path("../lib", __dir__))

require "logger"
require "rbconfig"
require "socket"
require_relative "support/agent"

exec({ "MALLOC_ARENA_MAX" => "1" }, RbConfig.ruby, __FILE__, *ARGV) unless ENV.key?("MALLOC_ARENA_MAX")

def setting(name, default) = Integer(ENV.fetch(name, default.to_s).delete("_"))

SPANS_PER_CHUNK = 10
SPANS = setting("SPANS", 10_000_000)
THREADS = setting("THREADS", 3)
UP = setting("UP", 3)
AWAY = setting("AWAY", 1)
MAX_GROWTH = setting("MAX_GROWTH", 16)
# So often at least.
OUTAGES = 12

def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

# The agent, in a process of its own: counts spans by the header, and does not decode them. Goes away
# between two answers, so that what it has counted is what the exporter has been told.
class Sink
  # Below those that connections get: what connects to a port of its own while nobody listens there may
  # reach itself.
  PORTS = (20_000..30_000)

  def initialize
    @chunks = @outages = 0
    @lock = Mutex.new
    @port = rand(PORTS)
    TCPServer.new("127.0.0.1", @port).close
  rescue Errno::EADDRINUSE
    retry
  end

  # Writes the port, listens from the first line on that it reads, and for each writes what was counted.
  def run
    $stdout.sync = true
    puts @port
    $stdin.gets
    Thread.new { come_and_go }
    puts "0 0"
    puts(@lock.synchronize { "#{@chunks} #{@outages}" }) while $stdin.gets
  end

  private

  def come_and_go
    loop do
      listener = TCPServer.new("127.0.0.1", @port)
      server = Datadog::NativeExport::Testing::Server.new(listener) { |head| answer(head) }
      back = now + UP
      enough = @chunks + (SPANS / SPANS_PER_CHUNK / OUTAGES)
      sleep 0.01 until now > back || @chunks > enough
      server.stop
      @outages += 1
      sleep AWAY
    end
  end

  def answer(head)
    @lock.synchronize { @chunks += Integer(head.headers.fetch("x-datadog-trace-count", "0")) }
    Agent.answer(head)
  end
end

# Exports, watches and judges.
class Soak
  # When so much has been exported, memory is supposed to have reached its size.
  WARM_UP = SPANS / 4
  MOMENT = "%<seconds>4d s  RSS %<rss>4d MiB  exported %<exported>9d  sent %<sent>9d  queued %<queued>6d  " \
           "on the way %<flying>6d  outages %<outages>3d  dropped %<dropped>p"
  START = 1_700_000_000_000_000_000

  def initialize(sink)
    @sink = sink
    @exporter = Datadog::NativeExport::Exporter.new(agent_url: "http://127.0.0.1:#{Integer(sink.gets)}",
                                                    logger: Logger.new(nil))
    @warm = @later = 0
  end

  # Whether all is well.
  def run
    started = now
    exporters = Array.new(THREADS) { |thread| Thread.new { export(thread) } }
    # As much memory as there may be is taken first: the agent is away until the queue is full.
    sleep 0.01 until @exporter.stats[:dropped][:queue_full].positive? || exporters.none?(&:alive?)
    watcher = Thread.new { watch(started) }
    exporters.each(&:join)
    took = now - started
    ended = @exporter.shutdown(timeout: 60)
    watcher.kill.join
    report(started)
    puts "#{SPANS} spans in #{took.round(1)} s: #{(SPANS / took).round} spans/s"
    judge(ended)
  end

  private

  def export(thread)
    share = SPANS / SPANS_PER_CHUNK / THREADS
    share += SPANS / SPANS_PER_CHUNK % THREADS if thread.zero?
    share.times do |number|
      # What finds no room is lost. An application would not wait then; here losing more is not the point.
      sleep 0.005 unless @exporter.export(chunk((number * THREADS) + thread + 1))
    end
  end

  def chunk(number)
    chunks = Datadog::NativeExport::TraceChunks.new(capacity: 1).begin_chunk(capacity: SPANS_PER_CHUNK)
    SPANS_PER_CHUNK.times do |i|
      chunks << Datadog::NativeExport::Span.new(
        name: "web.request", service: "shop", resource: "GET /carts/#{number % 1_000}", type: "web", trace_id: number,
        span_id: (number * SPANS_PER_CHUNK) + i, parent_id: i.zero? ? 0 : (number * SPANS_PER_CHUNK) + i - 1,
        start: START + number, duration: 12_000_000, metrics: { "_sampling_priority_v1" => 1 },
        meta: { "http.method" => "GET", "http.url" => "https://shop.example/carts/#{number}", "component" => "rack" }
      )
    end
    chunks
  end

  def watch(started)
    loop do
      report(started)
      sleep 1
    end
  end

  def report(started)
    stats = @exporter.stats
    exported, sent, dropped, queued = stats.values_at(:spans_exported, :spans_sent, :spans_dropped, :spans_queued)
    rss = resident
    exported < WARM_UP ? @warm = [@warm, rss].max : @later = [@later, rss].max
    puts format(MOMENT, seconds: now - started, rss: rss / 1024, exported: exported, sent: sent, queued: queued,
                        flying: exported - sent - dropped - queued, outages: ask.last,
                        dropped: stats[:dropped].reject { |_, spans| spans.zero? })
  end

  # Spans and outages, as the agent has counted them.
  def ask
    @sink.puts
    chunks, outages = @sink.gets.split.map { |count| Integer(count) }
    [chunks * SPANS_PER_CHUNK, outages]
  end

  # In KiB.
  def resident = Integer(File.read("/proc/self/status")[/^VmRSS:\s+(\d+)/, 1])

  def judge(ended)
    stats = @exporter.stats
    exported, sent, dropped = stats.values_at(:spans_exported, :spans_sent, :spans_dropped)
    received, outages = ask
    growth = (@later - @warm) / 1024
    {
      "shutdown sent what was left" => ended,
      "#{exported} exported == #{sent} sent + #{dropped} dropped" => exported == SPANS && exported == sent + dropped,
      "nothing is dropped but for a full queue" => dropped == stats[:dropped][:queue_full],
      "the agent received #{received}" => received == sent,
      "the agent was away #{outages} times" => outages.positive?,
      "RSS grew by #{growth} MiB after warm-up, at most #{MAX_GROWTH}" => @warm.positive? && growth <= MAX_GROWTH
    }.each { |claim, holds| puts "#{holds ? "ok    " : "FAILED"} #{claim}" }.values.all?
  end
end

abort "SPANS: expected a multiple of #{SPANS_PER_CHUNK}" unless (SPANS % SPANS_PER_CHUNK).zero?

if ARGV == ["sink"]
  Sink.new.run
else
  require "datadog/native_export"

  $stdout.sync = true
  sink = IO.popen([RbConfig.ruby, __FILE__, "sink"], "r+")
  exit(Soak.new(sink).run)
end
