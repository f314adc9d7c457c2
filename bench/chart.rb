# frozen_string_literal: true

# Draws docs/performance.svg from bench/results.json: microseconds a span, with the extremes of all runs.

require "json"

RUNS = JSON.parse(File.read(File.join(__dir__, "results.json"))).fetch("runs")
OURS = "#2563eb"
OTHERS = "#94a3b8"
PANELS = {
  "GVL held to lower a span" => {
    "one allocation a string" => %w[lowering naive], "MessagePack in Ruby, bare" => %w[lowering msgpack],
    "push_trace" => %w[lowering push_trace], "the reads alone (minimum)" => %w[lowering minimum]
  },
  "CPU of the process to get a span to the agent" => {
    "dd-trace-rb's HTTP transport" => %w[tracer http_cpu], "MessagePack in Ruby, not sent" => %w[sending msgpack],
    "push_trace, export, flush" => %w[sending send]
  }
}.freeze
LEFT = 230
WIDTH = 720
BAR = 26

def text(left, top, content, **attributes)
  attributes = attributes.map { |name, value| %( #{name}="#{value}") }.join
  %(<text x="#{left.round(1)}" y="#{top}"#{attributes}>#{content.gsub("&", "&amp;").gsub("<", "&lt;")}</text>)
end

def bar(name, figures, top, scale)
  low, middle, high = figures.sort.values_at(0, figures.size / 2, -1).map { |value| LEFT + (value * scale) }
  color = name.start_with?("push_trace") ? OURS : OTHERS
  [
    text(LEFT - 10, top + 15, name, "text-anchor": "end"),
    %(<rect x="#{LEFT}" y="#{top}" width="#{(middle - LEFT).round(1)}" height="#{BAR - 6}" fill="#{color}"/>),
    %(<path d="M#{low.round(1)} #{top + 10}H#{high.round(1)}" stroke="#334155" stroke-width="2"/>),
    text(high + 8, top + 15, "#{((middle - LEFT) / scale).round(2)} µs")
  ]
end

y = 0
parts = PANELS.flat_map do |title, bars|
  figures = bars.transform_values { |path| RUNS.filter_map { |run| run.dig(*path) } }
  figures.delete_if { |_, values| values.empty? }
  scale = (WIDTH - LEFT - 90) / figures.values.flatten.max
  heading = text(LEFT, y += 26, title, "font-weight": "bold")
  y += 10 - BAR
  bars = figures.flat_map { |name, values| bar(name, values, y += BAR, scale) }
  y += BAR
  [heading, *bars]
end

folder = File.expand_path("../docs", __dir__)
Dir.mkdir(folder) unless Dir.exist?(folder)
File.write(File.join(folder, "performance.svg"), <<~SVG)
  <svg xmlns="http://www.w3.org/2000/svg" width="#{WIDTH}" height="#{y + 12}" font-family="sans-serif" font-size="13">
  <rect width="100%" height="100%" fill="white"/>
  #{parts.join("\n")}
  </svg>
SVG
