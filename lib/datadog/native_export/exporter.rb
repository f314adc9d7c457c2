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

      # A year in seconds. No setting needs more, and adding it to a clock's time can't overflow.
      # @api private
      LONGEST = 31_536_000
      # @api private
      MAX_QUEUE_SPANS = 100_000
      LANGUAGE = {
        language: "ruby", language_version: RUBY_VERSION, interpreter: "#{RUBY_ENGINE}-#{RUBY_PLATFORM}",
        interpreter_vendor: RUBY_ENGINE
      }.freeze
      private_constant :LANGUAGE

      # @!method service_rates
      #   Returns the sampling rates from the latest answer of the agent that contained any. Cheap enough to be
      #   called for every trace.
      #   @return [Hash{String => Float}, nil] rates from 0.0 to 1.0 by `"service:S,env:E"`, frozen; nil if the
      #     agent has sent none

      # Starts no thread and opens no connection; the first export does. {file:docs/reference.md} explains each
      # option and its default.
      #
      # @param agent_url [String, nil] nil for what the environment says, see {Environment.agent_url}
      # @param agent_timeout [Numeric] seconds
      # @param flush_interval [Numeric] seconds
      # @param shutdown_timeout [Numeric] seconds
      # @param max_queue_spans [Integer]
      # @param max_queue_bytes [Integer]
      # @param when_full [:drop_newest, :drop_oldest]
      # @param max_payload_bytes [Integer]
      # @param retry_deadline [Numeric] seconds
      # @param logger [#warn, nil] called on a thread of its own; nil for a Logger to standard error
      # @param tracer_version [String]
      # @param headers [Hash{String => String}]
      # @param span_events [Boolean, nil]
      # @param client_computed_top_level [Boolean]
      # @param client_computed_stats [Boolean]
      # @param stats [Boolean, nil] nil for what the environment says, see {Environment.stats?}
      # @param service [String, nil] this and the next three: nil for {Environment.application}
      # @param env [String, nil]
      # @param version [String, nil]
      # @param git_commit_sha [String, nil]
      # @param hostname [String, nil]
      # @param runtime_id [String, nil] nil for a random one, which each process has
      # @param otlp_endpoint [String, nil] nil for the agent, unless {Environment.otlp?} and no `agent_url` is given
      # @param otlp_protocol ["http/protobuf", "http/json", nil] this and the next two: nil for what the environment
      #   says, see {Environment.otlp_options}
      # @param otlp_headers [Hash{String => String}, nil]
      # @param otlp_timeout [Numeric, nil] seconds
      # @param test_session_token [String, nil]
      # @raise [ConfigurationError] if a value can't be used; the message names the option
      def initialize(agent_url: nil, agent_timeout: 3, flush_interval: 1, shutdown_timeout: 1,
                     max_queue_spans: MAX_QUEUE_SPANS, max_queue_bytes: 64 * 1024 * 1024, when_full: :drop_newest,
                     max_payload_bytes: 5 * 1024 * 1024, retry_deadline: 10, logger: nil,
                     tracer_version: VERSION, headers: {}, span_events: nil, client_computed_top_level: false,
                     client_computed_stats: false, stats: nil, service: nil, env: nil, version: nil,
                     git_commit_sha: nil, hostname: nil, runtime_id: nil, otlp_endpoint: nil, otlp_protocol: nil,
                     otlp_headers: nil, otlp_timeout: nil, test_session_token: nil)
        warnings = []
        stats = choice(:stats, stats, [true, false, nil])
        receiver = Receiver.new({ agent_url:, stats:, client_computed_stats:, otlp_endpoint:, otlp_protocol:,
                                  otlp_headers:, otlp_timeout: }) { |warning| warnings << warning }
        agent_url ||= Environment.agent_url { |warning| warnings << warning }
        configure(
          agent_url: text(:agent_url, agent_url),
          agent_timeout: seconds(:agent_timeout, agent_timeout),
          flush_interval: seconds(:flush_interval, flush_interval),
          shutdown_timeout: seconds(:shutdown_timeout, shutdown_timeout),
          max_queue_spans: count(:max_queue_spans, max_queue_spans),
          max_queue_bytes: count(:max_queue_bytes, max_queue_bytes),
          drop_oldest: choice(:when_full, when_full, %i[drop_newest drop_oldest]) == :drop_oldest,
          max_payload_bytes: count(:max_payload_bytes, max_payload_bytes),
          retry_deadline: seconds(:retry_deadline, retry_deadline),
          headers: headers(headers),
          span_events: choice(:span_events, span_events, [true, false, nil]),
          client_computed_top_level: choice(:client_computed_top_level, client_computed_top_level, [true, false]),
          client_computed_stats: choice(:client_computed_stats, client_computed_stats, [true, false]),
          stats: receiver.stats?,
          **otlp(receiver.otlp),
          **application({ service:, env:, version:, git_commit_sha:, hostname:, runtime_id: }),
          test_session_token: test_session_token && text(:test_session_token, test_session_token),
          tracer_version: text(:tracer_version, tracer_version),
          **LANGUAGE
        )
        Registry.add(self, logger)
        log(warnings)
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

      def inspect
        "#<#{self.class} #{address}#{" closed" if closed?}>"
      rescue Error
        "#<#{self.class} not initialized>"
      end

      private

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
        raise TypeError, "timeout: expected seconds as a number or nil, got #{timeout.class}" unless real?(timeout)
        raise ArgumentError, "timeout: expected 0 or more seconds, got #{timeout}" unless timeout >= 0

        timeout.to_f
      end

      def seconds(option, value)
        return value.to_f if real?(value) && value.positive? && value <= LONGEST

        refuse(option, "a positive number of seconds up to #{LONGEST}", value)
      end

      def count(option, value)
        return value if value.is_a?(Integer) && value.between?(1, 2**62)

        refuse(option, "an Integer of 1 or more", value)
      end

      def choice(option, value, choices)
        return value if choices.include?(value)

        refuse(option, "one of #{choices.map(&:inspect).join(", ")}", value)
      end

      def headers(value, option = :headers)
        refuse(option, "a Hash of Strings", value, describe(value)) unless value.is_a?(Hash)

        value.to_h { |name, content| [text(option, name), text(option, content)] }
      end

      def otlp(options)
        endpoint = options[:otlp_endpoint]
        {
          otlp_endpoint: endpoint && text(:otlp_endpoint, endpoint),
          otlp_protocol: text(:otlp_protocol, options[:otlp_protocol]),
          otlp_headers: headers(options[:otlp_headers], :otlp_headers),
          otlp_timeout: seconds(:otlp_timeout, options[:otlp_timeout])
        }
      end

      def application(options)
        known = Environment.application
        options.to_h { |option, value| [option, text(option, value.nil? ? known.fetch(option, "") : value)] }
      end

      def text(option, value)
        text = value.encode(Encoding::UTF_8) if value.is_a?(String)
        return text if text&.valid_encoding?

        refuse(option, "a String", value, describe(value))
      rescue EncodingError
        refuse(option, "a String", value, describe(value))
      end

      def real?(value) = value.is_a?(Numeric) && value.real?

      def refuse(option, expected, value, shown = value.inspect)
        raise ConfigurationError, "#{option}: expected #{expected}, got #{shown}"
      end

      # For values that may hold a secret: the password in a URL, a header, a token.
      def describe(value)
        case value
        when Numeric, true, false, nil then value.inspect
        when String then "a String#{" that is not valid #{value.encoding}" unless value.valid_encoding?}"
        else value.class.to_s
        end
      end
    end
  end
end
