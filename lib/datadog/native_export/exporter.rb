# frozen_string_literal: true

module Datadog
  module NativeExport
    # Sends {TraceChunks} to the agent in the background.
    #
    # One exporter serves all threads of a process. A forked child goes on using the same object: in the child it
    # starts with an empty queue, zeroed counts and new connections.
    class Exporter
      # @!method export(chunks)
      #   Queues chunks to be sent. Never waits, and never raises because of the exporter's state.
      #   @param chunks [TraceChunks] consumed, whatever is returned
      #   @return [Boolean] whether all chunks were queued. The others are counted in {#stats} as `queue_full`,
      #     or as `closed` after {#shutdown}.
      #   @raise [TypeError, ConsumedError]
      #
      # @!method closed?
      #   @return [Boolean] whether {#shutdown} was called
      #
      # @!method agent_url
      #   @return [String] the URL of the agent, which traces are sent to unless there is an {#otlp_endpoint}
      #
      # @!method otlp_endpoint
      #   @return [String, nil] the URL of the OTLP collector that traces are sent to; nil for the agent
      #
      # @!method stats
      #   Counts since the exporter was created, in this process. {file:docs/operations.md} explains each of them.
      #   @return [Hash{Symbol => Integer, Float, String, Hash, nil}] frozen

      # @!method service_rates
      #   Returns the sampling rates from the latest answer of the agent that contained any. Cheap enough to be
      #   called for every trace.
      #   @return [Hash{String => Float}, nil] rates from 0.0 to 1.0 by `"service:S,env:E"`, frozen; nil if the
      #     agent has sent none

      # @api private
      # @param configuration [Configuration]
      # @return [Exporter]
      def self.of(configuration) = allocate.tap { |exporter| exporter.__send__(:start, configuration) }

      # @return [Hash{Symbol => Hash{Symbol => Object}}] for each option the `:value` in force, with what may be secret
      #   masked, and its `:source`: `:keyword`, `:dd_trace_rb` for the tracer's settings, the name of the variable as
      #   a String, or `:default`. Frozen.
      attr_reader :config

      # Starts no thread and opens no connection; the first export does. {file:docs/reference.md} explains each option,
      # its default, and the variables that are read if it isn't given. nil is as if it weren't given.
      #
      # @param options [Hash{Symbol => Object}]
      # @option options [String] :agent_url
      # @option options [Numeric] :agent_timeout seconds
      # @option options [Numeric] :flush_interval seconds
      # @option options [Numeric] :shutdown_timeout seconds
      # @option options [Integer] :max_queue_spans
      # @option options [Integer] :max_queue_bytes
      # @option options [:drop_newest, :drop_oldest] :when_full
      # @option options [Integer] :max_payload_bytes
      # @option options [Numeric] :retry_deadline seconds
      # @option options [#warn] :logger called on a thread of its own
      # @option options [String] :tracer_version
      # @option options [Hash{String => String}] :headers
      # @option options [Boolean] :span_events
      # @option options [Boolean] :client_computed_top_level
      # @option options [Boolean] :client_computed_stats
      # @option options [Boolean] :stats
      # @option options [String] :service
      # @option options [String] :env
      # @option options [String] :version
      # @option options [String] :git_commit_sha
      # @option options [String] :hostname
      # @option options [String] :runtime_id
      # @option options [String] :otlp_endpoint
      # @option options ["http/protobuf", "http/json"] :otlp_protocol
      # @option options [Hash{String => String}] :otlp_headers
      # @option options [Numeric] :otlp_timeout seconds
      # @option options [String] :test_session_token
      # @raise [ConfigurationError] if a value can't be used; the message names the option
      # @raise [ArgumentError] if there is no such option
      def initialize(**options)
        start(Configuration.new(options))
      end

      # Sends chunks at once and waits for the agent's answer. Other Ruby threads run meanwhile, and so do other
      # fibers of this one where it has a Fiber scheduler.
      #
      # @param chunks [TraceChunks] consumed, unless one of the errors below is raised
      # @param timeout [Numeric, nil] seconds to wait at most; nil for no limit. When the time runs out, sending
      #   goes on in the background and the outcome is counted in {#stats}.
      # @return [Response]
      # @raise [ClosedError] after {#shutdown}
      # @raise [TypeError, ArgumentError, ConsumedError]
      def send_trace_chunks(chunks, timeout: nil)
        limit = limit(timeout)
        trace_count = chunks.size if chunks.is_a?(TraceChunks)
        answer = Fibers.wait { send_and_wait(chunks, limit) }
        report_and_wait
        return Response.new(trace_count: trace_count, error: timed_out(timeout)) unless answer

        loss, detail, status, payload, accepted_count, sampled_out_count = answer
        error = Error.new(detail) if loss
        Response.new(trace_count:, accepted_count:, sampled_out_count:, status:, payload:, loss:, error:)
      end

      # Sends all queued chunks at once and waits, as {#send_trace_chunks} does, until each is sent or lost.
      #
      # @param timeout [Numeric, nil] seconds to wait at most; nil for no limit
      # @return [Boolean] false if the time ran out; sending goes on in the background
      # @raise [ClosedError] after {#shutdown}
      # @raise [TypeError, ArgumentError]
      def flush(timeout: nil)
        limit = limit(timeout)
        Fibers.wait { flush_and_wait(limit) }
      ensure
        report_and_wait
      end

      # Stops accepting chunks, sends those that are queued and waits, as {#send_trace_chunks} does, until each is
      # sent or lost. May be called again, to wait again.
      #
      # @param timeout [Numeric, nil] seconds to wait at most; nil for no limit
      # @return [Boolean] false if the time ran out; sending goes on in the background
      # @raise [TypeError, ArgumentError]
      def shutdown(timeout: nil)
        limit = limit(timeout)
        Fibers.wait { shutdown_and_wait(limit) }
      ensure
        report_and_wait
      end

      # @return [String] the agent's address, without what may be secret in it
      def inspect
        "#<#{self.class} #{address}#{" closed" if closed?}>"
      rescue Error
        "#<#{self.class} not initialized>"
      end

      private

      def start(configuration)
        values = configuration.values
        configure(
          **values.except(:logger, :when_full),
          drop_oldest: values[:when_full] == :drop_oldest,
          language: "ruby",
          language_version: RUBY_VERSION,
          interpreter: "#{RUBY_ENGINE}-#{RUBY_PLATFORM}",
          interpreter_vendor: RUBY_ENGINE
        )
        @config = configuration.to_h
        Registry.add(self, values[:logger])
        log(configuration.warnings)
      end

      # A copy would be a second owner of the queue.
      def initialize_copy(_)
        raise TypeError, "can't copy #{self.class}"
      end

      # Has the lines that native threads have left logged. Called by {#export} when there are some, so that it may
      # neither wait nor raise.
      def report
        LogThread.post(object_id) { log_now(take_lines) } if loggable?
      end

      # Does the same in calls that may wait. What they return is logged by then, unless the logger takes long.
      def report_and_wait
        return unless loggable?

        log(take_lines)
        LogThread.wait
      end

      # Logs the lines that are left, and what is lost with the process. Also where a child ends that a signal handler
      # has forked: it is the thread that calls the logger.
      def report_at_exit
        lines = [*take_lines, *take_unsent_line]
        LogThread.post { log_now(lines) } if lines.any?
      end

      def log(lines)
        LogThread.post { log_now(lines) } if lines.any? && loggable?
      end

      def log_now(lines)
        lines.each { |line| Registry.logger(self).warn("datadog-native-export: #{line}") }
      end

      # The interrupted thread may hold the logger's lock, and loggers live on the main Ractor.
      def loggable? = Registry.main_ractor? && !Registry.in_trap?

      def timed_out(timeout)
        TimeoutError.new("no answer within #{timeout} s; the chunks are still on their way")
      end

      def limit(timeout)
        return if timeout.nil?
        raise TypeError, "timeout: expected seconds as a number or nil, got #{timeout.class}" unless number?(timeout)
        raise ArgumentError, "timeout: expected 0 or more seconds, got #{timeout}" unless timeout >= 0

        timeout.to_f
      end

      def number?(timeout) = timeout.is_a?(Numeric) && timeout.real?
    end
  end
end
