# frozen_string_literal: true

module Datadog
  module NativeExport
    # Tells the tracer what became of the traces of a {Writer}: its sampler of the agent's rates, its
    # diagnostics and health metrics of outcomes. No thread does that by itself; those that write traces
    # come by here, and one a second looks.
    # @api private
    class Feedback
      # Seconds between two looks, but for new sampling rates, which are passed on at once.
      INTERVAL = 1
      NONE = Hash.new(0).freeze

      # What became of traces since the last look.
      class Outcome < Response
        # @return [Hash{String => Float}, nil]
        attr_reader :service_rates

        def initialize(service_rates: nil, **fields)
          @service_rates = service_rates
          super(**fields)
        end

        # Refusals are answers of the agent.
        def internal_error? = super && loss != :refused
      end

      def initialize(writer)
        @writer = writer
        @telling = Mutex.new
        @exporter = @rates = nil
        @seen = NONE
        @next_look = 0
      end

      # Has to be cheap, since each trace comes by.
      def refresh
        exporter = @writer.transport.running
        tell if exporter && (now >= @next_look || !exporter.service_rates.equal?(@rates))
      end

      # Whatever subscribers do must not reach the application, which merely wrote a trace.
      def tell
        exporter = @writer.transport.running
        return unless exporter && @telling.try_lock

        begin
          @next_look = now + INTERVAL
          look(exporter)
        ensure
          @telling.unlock
        end
      rescue StandardError => e
        Tracer.debug(e)
      end

      private

      def look(exporter)
        @seen = NONE unless exporter.equal?(@exporter)
        @exporter = exporter
        stats = exporter.stats
        @rates = exporter.service_rates
        responses = outcomes(stats)
        measure_queue(stats)
        @seen = { **stats, **stats[:dropped] }
        return if responses.empty?

        responses.each { |response| @writer.transport.update_stats_from_response!(response) }
        Datadog.health_metrics.transport_chunked(responses.size)
        @writer.events.after_send.publish(@writer, responses)
      end

      # The sampler reads the last one.
      def outcomes(stats)
        losses = %i[refused unreachable internal].select { |loss| since(stats[:dropped], loss).positive? }
        outcomes = losses.map { |loss| Outcome.new(trace_count: nil, loss: loss, error: Error.new(stats[:last_error])) }
        return outcomes unless since(stats, :payloads_sent).positive?

        outcomes << Outcome.new(trace_count: nil, status: 200, service_rates: @rates)
      end

      # As the tracer's own buffer does. It has no `queue_max_length`, since the queue's bounds are spans and
      # bytes.
      def measure_queue(stats)
        accepted, dropped = @writer.take_counts
        health = Datadog.health_metrics
        health.queue_accepted(accepted)
        health.queue_accepted_lengths(since(stats, :spans_exported) - since(stats[:dropped], :queue_full))
        health.queue_dropped(dropped)
        health.queue_length(stats[:chunks_queued])
        health.queue_spans(stats[:spans_queued])
        # Spans are counted, not traces: one trace at least.
        health.transport_trace_too_large(1) if since(stats[:dropped], :too_large).positive?
      end

      # A forked child's counts begin anew.
      def since(counts, name)
        count = counts.fetch(name)
        seen = @seen[name]
        count < seen ? count : count - seen
      end

      def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
