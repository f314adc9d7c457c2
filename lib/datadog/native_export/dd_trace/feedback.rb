# frozen_string_literal: true

module Datadog
  module NativeExport
    module DDTrace
      # Publishes what became of the traces of a {Writer}: agent rates for the tracer's sampler, outcomes for its
      # statistics, health metrics and diagnostics. No thread does that by itself; the one that lowers traces comes by
      # here, and publishes once a second.
      # @api private
      class Feedback
        # Seconds between two publications, except of new sampling rates, which are published at once.
        INTERVAL = 1
        # Answers after which the exporter tries again, or in parts.
        TRIED_AGAIN = [408, 413, 429].freeze
        private_constant :INTERVAL, :TRIED_AGAIN

        # What became of one request.
        class Outcome < Response
          # @return [Hash{String => Float}, nil] the agent's latest sampling rates, where it has accepted the traces
          attr_reader :service_rates

          def initialize(service_rates: nil, **fields)
            @service_rates = service_rates
            super(**fields)
          end
        end

        # @return [Integer] number of traces that were sent, by what dd-trace-rb's own writer counts as that
        attr_reader :traces_flushed

        def initialize(writer, transport)
          @writer = writer
          @transport = transport
          @publishing = Mutex.new
          @published_at = 0
          @traces_flushed = 0
          @counted = [0, 0]
          forget
        end

        # Publishes when it is time to. Cheap otherwise.
        #
        # @return [void]
        def poll
          exporter = @transport.running or return
          # A clock that was set back is no reason to wait, and a new configuration has a new exporter.
          due = (Clock.now - @published_at).abs >= INTERVAL || !exporter.equal?(@exporter)
          @transport.refresh_agent_info if due
          publish if due || !exporter.service_rates.equal?(@rates)
        end

        # Publishes, unless another thread does. Whatever subscribers do must not reach the application, which merely
        # wrote a trace.
        #
        # @return [void]
        def publish
          exporter = @transport.running or return
          exclusively do
            @published_at = Clock.now
            publish_outcomes(exporter)
          end
        rescue StandardError => e
          Log.debug(e)
        end

        private

        # An interrupt must not leave the lock taken, and a subscriber may write traces itself.
        def exclusively
          return if @publishing.owned?

          begin
            yield if @publishing.try_lock
          ensure
            @publishing.unlock if @publishing.owned?
          end
        end

        def publish_outcomes(exporter)
          forget unless exporter.equal?(@exporter)
          @exporter = exporter
          stats = exporter.stats
          @rates = exporter.service_rates
          responses = outcomes(exporter, stats)
          measure_queue(stats)
          @seen = { **stats, **stats[:dropped] }
          return if responses.empty?

          responses.each { |response| count(response) }
          Datadog.health_metrics.transport_chunked(responses.size)
          @writer.events.after_send.publish(@writer, responses)
        end

        def forget
          @seen = Hash.new(0)
        end

        def count(response)
          @transport.update_stats_from_response!(response)
          @traces_flushed += response.trace_count if flushed?(response)
        end

        # As dd-trace-rb counts: what the agent has refused is flushed, too.
        def flushed?(response)
          response.ok? || (response.client_error? && !TRIED_AGAIN.include?(response.status))
        end

        # The sampler takes the agent's rates from the last one.
        def outcomes(exporter, stats)
          taken = exporter.__send__(:take_requests)
          outcomes = taken.map { |status, loss, chunks| outcome(status, loss, chunks, stats) }
          outcomes.reject(&:ok?) + outcomes.select(&:ok?)
        end

        def outcome(status, loss, chunks, stats)
          return Outcome.new(trace_count: chunks, status: status, service_rates: @rates) unless loss

          Outcome.new(trace_count: chunks, status: status, loss: loss, error: Error.new(stats[:last_error]))
        end

        # As the tracer's own buffer does.
        def measure_queue(stats)
          accepted, dropped = @writer.counts.zip(@counted).map { |count, counted| count - counted }
          @counted = @counted.zip([accepted, dropped]).map(&:sum)
          health = Datadog.health_metrics
          health.queue_accepted(accepted)
          health.queue_accepted_lengths(since(stats, :spans_exported) - since(stats[:dropped], :queue_full))
          health.queue_dropped(dropped)
          health.queue_max_length(@transport.queue_limit)
          health.queue_length(stats[:chunks_queued] + @writer.unprocessed)
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
      end
    end
  end
end
