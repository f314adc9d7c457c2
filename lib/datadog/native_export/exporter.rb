# frozen_string_literal: true

module Datadog
  module NativeExport
    # Sends {TraceChunks} to the agent, in the background.
    #
    # Made once and shared by all threads. A forked child uses the same object: it starts afresh
    # there, with an empty queue and connections of its own.
    class Exporter
      # @!method export(chunks)
      #   Queues chunks to be sent. Never waits, and raises for nothing but its argument.
      #   @param chunks [TraceChunks] consumed, whatever is returned
      #   @return [Boolean] whether all chunks were taken. Those that weren't are counted in {#stats}:
      #     the queue was full, or the exporter had been shut down.
      #   @raise [TypeError, ConsumedError]
      #
      # @!method closed?
      #   @return [Boolean] whether {#shutdown} was called
      #
      # @!method agent_url
      #   @return [String]
      #
      # @!method stats
      #   Counts since the exporter was made, in this process. When nothing is on its way,
      #   `spans_exported == spans_sent + spans_dropped + spans_queued`.
      #   @return [Hash{Symbol => Object}] frozen:
      #     - `spans_queued`, `chunks_queued`, `bytes_queued` (of memory): waiting now
      #     - `spans_exported`: handed over, taken or not
      #     - `spans_sent`: accepted by the agent
      #     - `spans_dropped`, and `dropped`, a Hash of the reasons: `queue_full`, `too_large` (one
      #       trace beyond what an agent takes), `refused` (by the agent), `unreachable` (no answer),
      #       `closed` (after {#shutdown}), `invalid` (refused by {TraceChunks#push_trace}), `internal` (a
      #       defect of this gem)
      #     - `values_repaired`, `values_left_out`: tags and metrics with broken text, or that can't
      #       be sent
      #     - `payloads_sent`, `bytes_sent` (of request bodies), `retries`
      #     - `send_time_p50` (of the latest 128 requests), `send_time_max`: Float seconds or nil
      #     - `last_error`: String or nil

      # Seconds in a year: no setting needs more, and clocks can add it.
      # @api private
      LONGEST = 31_536_000
      # @api private
      MAX_QUEUE_SPANS = 100_000

      # @!method service_rates
      #   The sampling rates of the agent's latest answer that had any. Cheap enough for every trace.
      #   @return [Hash{String => Float}, nil] by `"service:S,env:E"`, frozen

      # All options are keywords and optional.
      #
      # @param agent_url [String, nil] `http://host:port`, `https://host:port` or `unix:///path/to/socket`; nil for
      #   what the environment says, see {Environment.agent_url}. For TLS the system's certificates are trusted, or
      #   those in `SSL_CERT_FILE`.
      # @param agent_timeout [Numeric] seconds one request may take
      # @param flush_interval [Numeric] seconds chunks wait at most before they are sent
      # @param shutdown_timeout [Numeric] seconds the end of the process waits at most for what is
      #   queued
      # @param max_queue_spans [Integer] spans held at most, waiting and on their way
      # @param max_queue_bytes [Integer] bytes of memory they take at most
      # @param when_full [:drop_newest, :drop_oldest] what is given up when the queue is full: the chunks
      #   that find no room, or those that have waited longest
      # @param max_payload_bytes [Integer] size that the body of one request is filled up to
      # @param retry_deadline [Numeric] seconds a payload is tried for
      # @param logger [#warn, nil] gets a line when losses begin and one when they end, on a thread of its own; nil
      #   for a Logger to standard error
      # @param tracer_version [String] version of the tracer that makes the spans
      # @param headers [Hash{String => String}] sent with every request, in place of the gem's own of the same name
      # @param span_events [Boolean, nil] whether span events are sent as such, or else as JSON in the tag
      #   `events`; nil for what the agent says it takes
      # @param client_computed_top_level [Boolean] whether the tracer has marked the top-level spans
      #   (`_dd.top_level`), so that the agent need not look for them
      # @param client_computed_stats [Boolean] whether the agent is to compute no statistics of what it gets
      # @param test_session_token [String, nil] by which `ddapm-test-agent` tells tests apart
      # @raise [ConfigurationError] for a value that can't be used, naming the option
      def initialize(agent_url: nil, agent_timeout: 3, flush_interval: 1, shutdown_timeout: 1,
                     max_queue_spans: MAX_QUEUE_SPANS, max_queue_bytes: 64 * 1024 * 1024, when_full: :drop_newest,
                     max_payload_bytes: 5 * 1024 * 1024, retry_deadline: 10, logger: nil,
                     tracer_version: VERSION, headers: {}, span_events: nil, client_computed_top_level: false,
                     client_computed_stats: false, test_session_token: nil)
        warnings = []
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
          test_session_token: test_session_token && text(:test_session_token, test_session_token),
          tracer_version: text(:tracer_version, tracer_version),
          language: "ruby",
          language_version: RUBY_VERSION,
          interpreter: "#{RUBY_ENGINE}-#{RUBY_PLATFORM}",
          interpreter_vendor: RUBY_ENGINE
        )
        Registry.add(self, logger)
        log(warnings)
      end

      # Sends chunks now and waits for the answer, without holding up other threads.
      #
      # @param chunks [TraceChunks] consumed
      # @param timeout [Numeric, nil] seconds to wait at most, nil for as long as it takes. When it
      #   runs out the chunks stay on their way, and are counted when they arrive or fail.
      # @return [Response]
      # @raise [ClosedError] after {#shutdown}
      # @raise [TypeError, ArgumentError, ConsumedError]
      def send_trace_chunks(chunks, timeout: nil)
        limit = limit(timeout)
        trace_count = chunks.size if chunks.is_a?(TraceChunks)
        answer = send_and_wait(chunks, limit)
        report_and_wait
        return Response.new(trace_count: trace_count, error: timed_out(timeout)) unless answer

        loss, detail, status, payload, accepted_count = answer
        error = Error.new(detail) if loss
        Response.new(trace_count:, accepted_count:, status:, payload:, loss:, error:)
      end

      # Sends what is queued now and waits until all of it has been answered for.
      #
      # @param timeout [Numeric, nil] seconds to wait at most, nil for as long as it takes
      # @return [Boolean] false when the time ran out; sending goes on
      # @raise [ClosedError] after {#shutdown}
      # @raise [TypeError, ArgumentError]
      def flush(timeout: nil)
        flush_and_wait(limit(timeout))
      ensure
        report_and_wait
      end

      # Takes nothing more, sends what is queued and ends. Calling it again waits again.
      #
      # @param timeout [Numeric, nil] seconds to wait at most, nil for as long as it takes
      # @return [Boolean] false when the time ran out; sending goes on
      # @raise [TypeError, ArgumentError]
      def shutdown(timeout: nil)
        shutdown_and_wait(limit(timeout))
      ensure
        report_and_wait
      end

      def inspect
        "#<#{self.class} #{address}#{" closed" if closed?}>"
      rescue Error
        "#<#{self.class} not initialized>"
      end

      private

      # An exporter owns its queue.
      def initialize_copy(_)
        raise TypeError, "can't copy #{self.class}"
      end

      # Has the lines that came up on other threads logged. Called by {#export} when there are some, so that it may
      # neither wait nor raise.
      def report
        LogThread.post(object_id) { log_now(take_lines) } if loggable?
      end

      # The same in calls that may wait. What they return is logged by then, unless the logger takes long.
      def report_and_wait
        return unless loggable?

        log(take_lines)
        LogThread.wait
      end

      # Logs the lines and what is lost with the process. Returns how many spans that are.
      def report_at_exit
        log(take_lines)
        exported, sent, dropped, cause = stats.values_at(:spans_exported, :spans_sent, :spans_dropped, :last_error)
        unsent = exported - sent - dropped
        Registry.log_loss(unsent, ", on their way to #{address}#{" (#{cause})" if cause}") { Registry.logger(self) }
        unsent
      end

      def log(lines)
        LogThread.post { log_now(lines) } if lines.any? && loggable?
      end

      def log_now(lines)
        lines.each { |line| Registry.logger(self).warn("datadog-native-export: #{line}") }
      end

      # The interrupted thread may hold the logger's lock, and loggers live on the main Ractor.
      def loggable? = Registry.main_ractor? && !Registry.in_trap?

      # The agent's URL without what may be secret in it.
      def address
        url = agent_url
        url.start_with?("unix:") ? url : url[%r{\A\w+://[^/?#]*}].to_s.sub(%r{//.*@}, "//")
      end

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

      def headers(value)
        refuse(:headers, "a Hash of Strings", value, describe(value)) unless value.is_a?(Hash)

        value.to_h { |name, content| [text(:headers, name), text(:headers, content)] }
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
