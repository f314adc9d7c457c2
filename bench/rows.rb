# frozen_string_literal: true

# What the figures of a run come to.
module Rows
  # `figure` takes the figures of one run of all measurements. `at_least` and `aim` are bounds: from below when
  # `more` is better, or else from above. Figures without them are shown and not judged.
  Row = Struct.new(:what, :at_least, :aim, :more, :figure, keyword_init: true)

  class << self
    # The median of each row's figure with its extremes, and whether it is what it has to be.
    def table(runs)
      ROWS.filter_map do |row|
        figures = runs.map(&row.figure)
        next if figures.any?(&:nil?)

        sorted = figures.sort
        median = (sorted[(sorted.size - 1) / 2] + sorted[sorted.size / 2]) / 2.0
        { what: row.what, median: median, lowest: sorted[0], highest: sorted[-1], at_least: row.at_least, aim: row.aim,
          verdict: verdict(row, median) }
      end
    end

    def format(row)
      at_least, aim = row.values_at(:at_least, :aim).map { |bound| (bound || "-").to_s.rjust(6) }
      figures = Kernel.format("%<median>9.2f  (%<lowest>.2f to %<highest>.2f)", row)
      "#{row[:what].ljust(70)}#{figures.ljust(32)}#{at_least}#{aim}  #{row[:verdict]}"
    end

    private

    def less(what, at_least, aim, &figure) = Row.new(what:, at_least:, aim:, figure:)
    def more(what, at_least, aim, &figure) = Row.new(what:, at_least:, aim:, more: true, figure:)
    def shown(what, &figure) = Row.new(what:, figure:)

    def verdict(row, figure)
      return unless row.at_least

      reaches = ->(bound) { row.more ? figure >= bound : figure <= bound }
      if reaches.call(row.aim) then "aim"
      elsif reaches.call(row.at_least) then "ok"
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
    less("GVL time: push_trace / floor", 1.6, 1.25, &ratio(:lowering, :push_trace, :floor)),
    less("process CPU: push_trace to the answer / bare MessagePack", 1.2, 0.8, &ratio(:sending, :send, :msgpack)),
    less("Ruby objects a trace of 10 spans, from push_trace to the answer", 0, 0) do |run|
      run[:sending][:objects_per_trace].round(1).abs
    end,
    shown("Ruby objects a flush", &figure(:sending, :objects_per_flush)),
    less("native allocations a span, push_trace", 4, 1, &figure(:counted, :push_trace, :allocations)),
    less("native allocations a span, from push_trace to the answer", 4, 1, &figure(:counted, :send, :allocations)),
    less("bytes a queued span, by the exporter's account / on the wire", 2, 1.3,
         &ratio(:queueing, :queued_per_span, :wire_per_span)),
    shown("bytes a queued span, by the growth of the process / on the wire",
          &ratio(:queueing, :resident_per_span, :wire_per_span)),
    less("export: 10,000 spans / 10 spans", 5, 2, &ratio(:queueing, :export10000, :export10)),
    less("p99.9 of a request: agent hangs / no exporter", 1.25, 1.1, &without_exporter(:hanging, :p999)),
    shown("the noise of that: no exporter / once more", &without_exporter(:alone_again, :p999)),
    shown("p50 of a request: agent hangs / no exporter", &without_exporter(:hanging, :p50)),
    more("Span.new: magnus's conversions / ours", 3, 3, &ratio(:lowering, :high_level_new, :span_new)),
    more("set_meta, set_metric: magnus's conversions / ours", 3, 3, &ratio(:lowering, :high_level_tags, :tags)),
    shown("a span: in a trace of 1 / of 10", &ratio(:shapes, :spans1, :spans10)),
    less("a span: in a trace of 1,000 / of 10", 1.25, 1.1, &ratio(:shapes, :spans1000, :spans10)),
    less("a tag: of the 51st to 200th / of the first 50", 1.25, 1.1) do |run|
      none, fifty, all = run[:shapes].values_at(:tags0, :tags50, :tags200)
      ((all - fifty) / 150) / ((fifty - none) / 50)
    end,
    less("process CPU: from 4 threads / from 1", 1.25, 1.1, &ratio(:sending, :send_from_threads, :send)),
    less("MiB that a process grows by while it sends 800,000 spans", 8, 2, &figure(:memory, :growth)),
    less("ms to load the extension", 25, 25, &figure(:loading, :extension)),
    less("MB of the extension, stripped", 4, 4) { |run| run[:library][:stripped] / 1e6 },
    shown("us a span, GVL time: push_trace", &figure(:lowering, :push_trace)),
    shown("us a span, GVL time: one allocation a string", &figure(:lowering, :naive)),
    shown("us a span, GVL time: bare MessagePack in Ruby", &figure(:lowering, :msgpack)),
    shown("us a span, GVL time: floor", &figure(:lowering, :floor)),
    shown("us a span, process CPU: push_trace to the answer", &figure(:sending, :send)),
    shown("us a span, process CPU: the tracer's HTTP transport", &figure(:tracer, :http_cpu)),
    shown("process CPU: the tracer's HTTP transport / ours", &ratio(:tracer, :http_cpu, :send_cpu)),
    shown("wall time: the tracer's HTTP transport / ours", &ratio(:tracer, :http_wall, :send_wall))
  ].freeze
end
