# frozen_string_literal: true

# Draws a trace as text: one line a span, below its parent, with a bar that shows when it ran.
class Waterfall
  UNICODE = { bar: "█", track: "·", error: "✗", more: "…", child: "├ ", last: "└ ", pass: "│ ", none: "  " }
            .freeze
  ASCII = { bar: "#", track: ".", error: "!", more: "~", child: "|-", last: "`-", pass: "| ", none: "  " }
          .freeze
  COLORS = [36, 33, 35, 34, 32].freeze # of services; red is for errors
  RED = 31
  DIM = 2
  NUMBER = 8 # characters of a column of milliseconds
  MIN_WIDTH = 60

  # @param spans [Array<Hash{String => Object}>] of one trace, with times in nanoseconds
  # @param width [Integer] of the terminal, in characters
  # @param color [Boolean] whether to use ANSI colours
  # @param unicode [Boolean] whether to use more than ASCII
  def initialize(spans, width: 80, color: false, unicode: true)
    @spans = spans.sort_by { |span| [span["start"], -span["duration"].to_i] }
    @color = color
    @glyphs = unicode ? UNICODE : ASCII
    @start = @spans.first["start"]
    @total = [@spans.map { |span| span["start"] + span["duration"].to_i }.max - @start, 1].max
    @colors = @spans.map { |span| span["service"] }.uniq.zip(COLORS.cycle).to_h
    @rows = roots.flat_map { |root| rows(root, "", "") }
    measure([width, MIN_WIDTH].max)
  end

  # @return [String] lines that end in line feeds
  def to_s
    [summary, "", header, *@rows.flat_map { |span, before, below| [line(span, before), *error(span, below)] }]
      .map { |text| "#{text.rstrip}\n" }.join
  end

  private

  # A span whose parent didn't arrive is shown as a root: nothing that arrived is left out.
  def roots
    ids = @spans.map { |span| span["span_id"] }
    @spans.reject { |span| ids.include?(span["parent_id"]) }
  end

  # @return [Array<(Hash, String, String)>] span, what stands before it and before the text below it
  def rows(span, before, below)
    *children, last = @spans.select { |child| child["parent_id"] == span["span_id"] }
    return [[span, before, below + @glyphs[:none]]] unless last

    [[span, before, below + @glyphs[:pass]],
     *children.flat_map { |child| rows(child, below + @glyphs[:child], below + @glyphs[:pass]) },
     *rows(last, below + @glyphs[:last], below + @glyphs[:none])]
  end

  # The bar gets what the texts leave, and at least half of what is left for both.
  def measure(width)
    @service = @rows.map { |span, before| before.size + span["service"].to_s.size }.max.clamp(7, 22)
    room = width - @service - (2 * NUMBER) - 6 # spaces between columns, and the mark of an error
    @resource = @rows.map { |span,| span["resource"].to_s.size }.max.clamp(8, room / 2)
    @bar = room - @resource
  end

  def summary
    errors = @spans.count { |span| failed?(span) }
    "Trace #{@spans.first["trace_id"]}: #{@spans.size} spans, #{@colors.size} services, " \
      "#{errors} #{errors == 1 ? "error" : "errors"}, #{ms(@total)} ms"
  end

  def header
    paint(DIM, ["SERVICE".ljust(@service), "RESOURCE".ljust(@resource), "START MS".rjust(NUMBER), " " * @bar,
                "TOOK MS".rjust(NUMBER)].join(" "))
  end

  def line(span, before)
    color = failed?(span) ? RED : @colors[span["service"]]
    [paint(DIM, before) + paint(color, fit(span["service"], @service - before.size)),
     fit(span["resource"], @resource), ms(span["start"] - @start).rjust(NUMBER), bar(span, color),
     ms(span["duration"].to_i).rjust(NUMBER), failed?(span) ? paint(RED, @glyphs[:error]) : ""].join(" ")
  end

  def error(span, below)
    return [] unless failed?(span)

    text = [@glyphs[:error], *span["meta"]&.values_at("error.type", "error.message")].compact.join(" ")
    room = @service + @resource + @bar + (2 * NUMBER) + 4 - below.size
    [paint(DIM, below) + paint(RED, fit(text, room))]
  end

  # Even the shortest span is seen.
  def bar(span, color)
    from = ((span["start"] - @start) * @bar / @total).clamp(0, @bar - 1)
    size = (span["duration"].to_i * @bar / @total.to_f).round.clamp(1, @bar - from)
    paint(DIM, @glyphs[:track] * from) + paint(color, @glyphs[:bar] * size) +
      paint(DIM, @glyphs[:track] * (@bar - from - size))
  end

  def failed?(span)
    span["error"].to_i != 0
  end

  def fit(text, size)
    text = text.to_s
    text.size > size ? text[0, size - 1] + @glyphs[:more] : text.ljust(size)
  end

  def ms(nanoseconds)
    format("%.1f", nanoseconds / 1e6)
  end

  def paint(color, text)
    @color && !text.empty? ? "\e[#{color}m#{text}\e[0m" : text
  end
end
