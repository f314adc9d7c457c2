# frozen_string_literal: true

require_relative "corpus"
require_relative "hostile"
require_relative "oracle"

module Support
  # Makes, reads, sends and forgets spans, with errors in between. For scripts in a process of their own.
  class Workload
    def initialize(exporter)
      @exporter = exporter
      generator = Support::Hostile.new(2)
      @hostile = Array.new(40) { generator.span }
      @cases = Support::Corpus.cases.first(10)
    end

    # Spans that one {#call} exports.
    def spans = @cases.sum { |recorded| recorded.spans.size }

    def call
      @cases.each { |recorded| @exporter.export(recorded.chunks) }
      @hostile.each { |fields| misuse(Datadog::NativeExport::Span.new(**fields), fields) }
      @exporter.flush(timeout: 60)
    end

    private

    def misuse(span, fields)
      span.to_h
      [-> { span.set_meta("k", 1) }, -> { span.set_meta_struct("k", [Object.new]) },
       -> { Datadog::NativeExport::Span.new(**fields, start: 1.5) }, -> { span.add_link(trace_id: 0, span_id: 1) }]
        .each do |wrong|
          wrong.call
          raise "no error"
        rescue TypeError, RangeError, ArgumentError
          # As it should be.
        end
    end
  end
end
