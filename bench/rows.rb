# frozen_string_literal: true

require_relative "support/statistics"

# What the figures of a run come to.
module Rows
  # `figure` takes the figures of one run of all measurements. `threshold` must hold and `target` is to be reached: from
  # below when `more` is better, or else from above. Figures without them are shown and not judged.
  Row = Struct.new(:what, :threshold, :target, :more, :figure, keyword_init: true)

  class << self
    # The median of each row's figure with its extremes, and whether it is what it has to be.
    def table(runs)
      ROWS.filter_map do |row|
        figures = runs.map(&row.figure)
        next if figures.any?(&:nil?)

        median = Statistics.median(figures)
        lowest, highest = figures.minmax
        { what: row.what, median:, lowest:, highest:, threshold: row.threshold, target: row.target,
          verdict: verdict(row, median) }
      end
    end

    def format(row)
      threshold, target = row.values_at(:threshold, :target).map { |bound| (bound || "-").to_s.rjust(6) }
      figures = Kernel.format("%<median>9.2f  (%<lowest>.2f to %<highest>.2f)", row)
      "#{row[:what].ljust(70)}#{figures.ljust(32)}#{threshold}#{target}  #{row[:verdict]}"
    end

    private

    def less(what, threshold, target, &figure) = Row.new(what:, threshold:, target:, figure:)
    def more(what, threshold, target, &figure) = Row.new(what:, threshold:, target:, more: true, figure:)
    def shown(what, &figure) = Row.new(what:, figure:)

    def verdict(row, figure)
      return unless row.threshold

      reaches = ->(bound) { row.more ? figure >= bound : figure <= bound }
      if reaches.call(row.target) then "target"
      elsif reaches.call(row.threshold) then "ok"
      else
        "MISSED"
      end
    end

    def figure(*path) = ->(run) { run.dig(*path) }

    # A figure of one measurement over another of the same.
    def ratio(from, over, under) = ->(run) { run.dig(from, over)&.fdiv(run.dig(from, under)) }

    def without_exporter(arm, percentile)
      ->(run) { run[:latency][arm][percentile] / run[:latency][:alone][percentile] }
    end
  end

  ROWS = [
    more("GVL time: one allocation a string / push_trace", 3.5, 5, &ratio(:lowering, :naive, :push_trace)),
    more("GVL time: bare MessagePack in Ruby / push_trace", 3, 4, &ratio(:lowering, :msgpack, :push_trace)),
    less("GVL time: push_trace / minimum", 1.6, 1.25, &ratio(:lowering, :push_trace, :minimum)),
    less("GVL time: a span with one Symbol tag / without", 1.15, 1.05, &ratio(:extras, :symbol_tag, :plain)),
    less("GVL time: a span with one link / without", 2, 1.5, &ratio(:extras, :link, :plain)),
    less("GVL time: a span with one event / without", 2, 1.5, &ratio(:extras, :event, :plain)),
    less("GVL time: a span with one meta_struct entry / without", 2, 1.5, &ratio(:extras, :meta_struct_entry, :plain)),
    less("process CPU: push_trace to the answer / bare MessagePack", 1.2, 0.8, &ratio(:sending, :send, :msgpack)),
    less("Ruby objects a trace of 10 spans, from push_trace to the answer", 0, 0) do |run|
      run[:objects][:objects_per_trace].round(1).abs
    end,
    shown("Ruby objects a flush", &figure(:objects, :objects_per_flush)),
    less("native allocations a span, push_trace", 4, 1, &figure(:counted, :push_trace, :allocations)),
    less("native allocations a span, from push_trace to the answer", 4, 1, &figure(:counted, :send, :allocations)),
    less("bytes a queued span, by the growth of the process / on the wire", 4, 3, &ratio(:queue, :growth, :wire)),
    shown("bytes a queued span, by the exporter's account / by the growth", &ratio(:queue, :account, :growth)),
    less("p99.9 of a request: agent hangs / no exporter", 1.25, 1.1, &without_exporter(:hanging, :p999)),
    shown("the noise of that: no exporter / once more", &without_exporter(:alone_again, :p999)),
    shown("p50 of a request: agent hangs / no exporter", &without_exporter(:hanging, :p50)),
    less("MiB that a process grows by while it sends 800,000 spans", 8, 2, &figure(:memory, :growth)),
    shown("us a span, GVL time: push_trace", &figure(:lowering, :push_trace)),
    shown("us a span, GVL time: one allocation a string", &figure(:lowering, :naive)),
    shown("us a span, GVL time: bare MessagePack in Ruby", &figure(:lowering, :msgpack)),
    shown("us a span, GVL time: minimum", &figure(:lowering, :minimum)),
    shown("us a span, process CPU: push_trace to the answer", &figure(:sending, :send)),
    shown("us a span, process CPU: the tracer's HTTP transport", &figure(:tracer, :http_cpu)),
    shown("process CPU: the tracer's HTTP transport / ours", &ratio(:tracer, :http_cpu, :send_cpu)),
    shown("wall time: the tracer's HTTP transport / ours", &ratio(:tracer, :http_wall, :send_wall))
  ].freeze
end
