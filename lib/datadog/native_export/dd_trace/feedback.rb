# frozen_string_literal: true

module Datadog
  module NativeExport
    module DDTrace
      # Publishes what became of the traces of a {Writer}: agent rates for the tracer's sampler, outcomes for its
      # statistics, health metrics and diagnostics. No thread does that by itself; those that write traces come by
      # here, and one a second publishes.
      # @api private
      class Feedback
        # Seconds between two publications, except of new sampling rates, which are published at once.
        INTERVAL = 1
        # Losses of which there is no answer and no attempt: they are no outcomes of requests.
        NOT_SENT = %i[queue_full too_large invalid closed].freeze
        private_constant :INTERVAL, :NOT_SENT

        # What became of one request.
        class Outcome < Response
          # @return [Hash{String => Float}, nil] the agent's latest sampling rates, where it has accepted the traces
          attr_reader :service_rates

          def initialize(service_rates: nil, **fields)
            @service_rates = service_rates
            super(**fields)
          end

          # Refusals are answers of the agent.
          def internal_error? = super && loss != :refused
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

        # Publishes when it is time to. Has to be cheap, since each trace comes by.
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
          # As dd-trace-rb counts: a refusal is an answer, too.
          @traces_flushed += response.trace_count.to_i if response.ok? || response.loss == :refused
        end

        # The sampler reads the last one.
        def outcomes(exporter, stats)
          return estimated_outcomes(stats) unless exporter.respond_to?(:take_outcomes, true)

          exporter.__send__(:take_outcomes).filter_map do |status, loss, chunks, *|
            too_large(chunks) if loss == :too_large
            outcome(status, loss, chunks, stats) unless NOT_SENT.include?(loss)
          end
        end

        def outcome(status, loss, chunks, stats)
          accepted = loss.nil? && status&.between?(200, 299)
          return Outcome.new(trace_count: chunks, status: status, service_rates: @rates) if accepted

          Outcome.new(trace_count: chunks, status: status, loss: loss, error: Error.new(stats[:last_error]))
        end

        def too_large(traces)
          Datadog.health_metrics.transport_trace_too_large(traces)
        end

        # By counts of spans, where the exporter doesn't tell of requests.
        def estimated_outcomes(stats)
          too_large(1) if since(stats[:dropped], :too_large).positive?
          losses = %i[refused unreachable internal].select { |loss| since(stats[:dropped], loss).positive? }
          outcomes = losses.map { |loss| outcome(nil, loss, nil, stats) }
          outcomes << outcome(200, nil, nil, stats) if since(stats, :payloads_sent).positive?
          outcomes
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
