# frozen_string_literal: true

# Measures what tracing costs a Rails application: none at all, by dd-trace-rb's own transport, and by this gem.
#
#   DD_TRACE_RB=/path/to/dd-trace-rb ruby bench/rails.rb
#
# Servers of each kind take turns, ROUNDS=5 times SECONDS=2 each, in PROCESSES=2 sets of processes for each of the
# LOADS. The environment may also set WORKERS=2 for Puma's cluster mode, LOAD="5 threads" for one load alone, and
# BASE=/path/to/checkout,... for other versions of this gem, with extensions, beside this one. All of it takes some four
# minutes. Prints a table of Markdown: medians of all rounds, with the extremes.
#
# Needs wrk, and Rails, SQLite and Puma, which `bin/setup --test` installs, and /proc.

require "json"
require "open3"
require "sqlite3"
require "tmpdir"
require_relative "rails/server"
require_relative "support/statistics"

PROCESSES = Integer(ENV.fetch("PROCESSES", "2"))
ROUNDS = Integer(ENV.fetch("ROUNDS", "5"))
SECONDS = Integer(ENV.fetch("SECONDS", "2"))
WORKERS = Integer(ENV.fetch("WORKERS", "0"))
# Seconds before the first round: Rails compiles views and queries with the first requests, and Ruby's heap grows.
WARM_UP = 2
LOADS = {
  "1 thread, busy" => { threads: 1, connections: 1, pause: 0 },
  "1 thread, with pauses of 10 ms" => { threads: 1, connections: 1, pause: 10 },
  "5 threads, busy" => { threads: 5, connections: 5, pause: 0 }
}.freeze
WAYS = RailsServer::TRACED.keys.to_h { |way| [way, { way: way }] }
                          .merge(ENV.fetch("BASE", "").split(",").to_h do |path|
                                   [File.basename(path), { way: :native, lib: File.join(path, "lib") }]
                                 end)
FIGURES = { rate: "requests/s", p50: "p50, ms", p99: "p99, ms", cpu: "CPU of the server, ms a request",
            resident: "memory of the server, MiB" }.freeze

def load(server, connections:, pause:, seconds:)
  output, status = Open3.capture2("wrk", "--threads", "1", "--connections", connections.to_s,
                                  "--duration", "#{seconds}s", "--timeout", "20s",
                                  "--script", File.join(__dir__, "rails/load.lua"), server.url, "--", pause.to_s)
  result = JSON.parse(output[/^RESULT (.*)/, 1] || raise("wrk: #{output}"), symbolize_names: true)
  raise "requests failed: #{result}" unless status.success? && result[:failed].zero?

  result
end

def measure(server, **load)
  cpu = server.cpu
  result = load(server, **load, seconds: SECONDS)
  result.merge(rate: result[:requests] / result[:seconds], cpu: (server.cpu - cpu) * 1000 / result[:requests],
               resident: server.resident / 1024.0)
end

# All rounds of one set of servers, by way.
def rounds(database, threads:, **load)
  servers = WAYS.transform_values { |options| RailsServer.new(threads:, workers: WORKERS, database:, **options) }
  served = WAYS.keys.to_h { |way| [way, load(servers[way], **load, seconds: WARM_UP)[:requests]] }
  results = Array.new(ROUNDS) do |round|
    WAYS.keys.rotate(round).to_h { |way| [way, measure(servers[way], **load)] }
  end
  results.each { |result| result.each { |way, figures| served[way] += figures[:requests] } }
  check(servers.to_h { |way, server| [way, server.stop.fdiv(served[way])] })
  results
ensure
  servers&.each_value(&:kill)
end

# Requests that wrk has given up at the end aren't counted by it, and the tracer's own transport may lose some.
def check(spans)
  warn "spans a request: #{spans.transform_values { |number| number.round(2) }}"
  raise "spans are missing" unless spans.all? { |way, number| way == :none ? number.zero? : number > 5.5 }
end

def row(*cells) = puts("| #{cells.join(" | ")} |")

def print_rows(load, results)
  row("**#{load}**", *[""] * (WAYS.size + 1))
  FIGURES.each do |figure, title|
    all = WAYS.keys.map { |way| results.map { |result| result[way][figure] } }
    ratios = results.map { |result| result[:native][figure] / result[:own][figure] }
    row(title, *[*all, ratios].map { |figures| Statistics.spread(figures) })
  end
end

def create(database)
  SQLite3::Database.new(database) do |db|
    db.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, title VARCHAR)")
    %w[soup bread].each { |title| db.execute("INSERT INTO orders (title) VALUES (?)", [title]) }
  end
end

loads = LOADS.select { |name, _| name.start_with?(ENV.fetch("LOAD", "")) }
Dir.mktmpdir do |folder|
  database = File.join(folder, "shop.sqlite3")
  create(database)
  results = loads.transform_values { [] }
  PROCESSES.times do |process|
    loads.each do |name, load|
      warn "processes #{process + 1} of #{PROCESSES}: #{name}"
      results[name].concat(rounds(database, **load))
    end
  end
  row("", *WAYS.keys, "native / own")
  row(*["---"] * (WAYS.size + 2))
  results.each { |name, of_load| print_rows(name, of_load) }
end
