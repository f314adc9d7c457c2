# frozen_string_literal: true

Datadog::NativeExport.const_get(:DDTrace)::Compatibility.require!

require_relative "agent_info"
require_relative "settings"
require_relative "writer_options"

module Datadog
  module NativeExport
    # Takes the place of dd-trace-rb's HTTP transport, behind the tracer's own writer:
    #
    #     Datadog.configure { |c| c.tracing.writer_options = {transport: Datadog::NativeExport::Transport.new} }
    #
    # Makes its {Exporter} on first use, by the tracer's settings at that time, and a new one after {#close}: the
    # tracer closes a transport on reconfiguration and goes on using it.
    class Transport
      include Datadog::Tracing::Transport::HTTP::Statistics

      # Answers the tracer's log, which looks for the agent's URL by these methods.
      # @api private
      Client = Struct.new(:url) do
        def api = self
        def instance = self
        def adapter = self
      end

      # The logger of an exporter whose warnings come again from the one that takes its place.
      # @api private
      module Unheard
        # @api private
        def self.warn(_line) = nil
      end
      private_constant :Client, :Unheard

      # @param wait [Numeric] seconds {#send_traces} waits for the agent's answer. A request that takes longer goes on
      #   in the background.
      # @param shutdown_timeout [Numeric, nil] seconds {#close} waits at most for what is on its way; nil for 1
      # @param options [Hash{Symbol => Object}] of {Exporter#initialize}. The tracer's settings are the defaults of
      #   `agent_url`, `agent_timeout`, `tracer_version`, `span_events`, `client_computed_stats`, `service`, `env`,
      #   `version`, `hostname`, `git_commit_sha`, `runtime_id` and `logger`.
      #   `headers` are added to the tracer's.
      # @raise [ArgumentError, ConfigurationError] for an option that can't be used
      # @raise [UnavailableError] when the native extension could not be loaded
      def initialize(wait: 1, shutdown_timeout: nil, **options)
        @wait = wait
        @options = shutdown_timeout ? { shutdown_timeout: shutdown_timeout, **options } : options
        @defaults = DDTrace::WriterOptions.new({})
        @lock = Mutex.new
        @agent_info = DDTrace::AgentInfo.new
        # Never used: a wrong option should be refused here, and not when there are traces to send.
        Exporter.of(configuration_by({ agent_url: "http://127.0.0.1" }, @defaults).with(logger: Unheard))
      end

      # Sends traces, each as a chunk of its own, and waits for the answer. Never raises.
      #
      # @param segments [Array<Datadog::Tracing::TraceSegment>]
      # @return [Array<Response>] one for the traces that can't be sent, if there are any, and one for the others
      def send_traces(segments)
        return [] if segments.empty?

        follow_settings
        return own.send_traces(segments) unless usable?

        refresh_agent_info
        responses = deliver(segments)
        responses.each { |response| update_stats_from_response!(response) }
        Datadog.health_metrics.transport_chunked(responses.size)
        responses
      rescue StandardError => e
        update_stats_from_exception!(e)
        [failure(segments.size, e)]
      end

      # @return [Datadog::Tracing::Transport::Statistics::Counts] outcomes so far, with `reset!`
      def stats
        @own ? @own.stats : super
      end

      # Queues traces to be sent in the background. Never waits.
      #
      # @param segments [Array<Datadog::Tracing::TraceSegment>]
      # @return [Integer] number of traces that are lost, because they can't be sent or the queue is full
      # @raise [ConfigurationError] when the tracer's settings can't be used
      def export(segments)
        chunks, broken = lower(segments)
        size = chunks.size
        exporter.export(chunks) ? broken : broken + size
      end

      # Sends what is queued and waits for it.
      #
      # @param timeout [Numeric, nil] seconds to wait at most, nil for as long as it takes
      # @return [Boolean] false when the time ran out
      def flush(timeout: nil)
        @exporter.nil? || @exporter.flush(timeout: timeout)
      rescue ClosedError
        true
      end

      # Sends what is on its way, and ends. Traces that come later bring it back to life.
      #
      # @param timeout [Numeric, nil] seconds to wait at most, nil for as long as it takes
      # @return [Boolean] false when the time ran out; sending goes on
      def close(timeout: shutdown_timeout)
        exporter = @exporter
        @exporter = @obstacle = @own = nil
        @agent_info.reset
        exporter.nil? || exporter.shutdown(timeout: timeout)
      end

      # @return [Numeric] seconds {#close} waits at most
      def shutdown_timeout
        @options[:shutdown_timeout] || @defaults.exporter[:shutdown_timeout] || 1
      end

      # @return [Exporter] the present one
      # @raise [ConfigurationError] when the tracer's settings can't be used
      def exporter
        @exporter || @lock.synchronize { @exporter ||= build }
      end

      # Has the tracer ask the agent what it is, if need be.
      #
      # @api private
      # @return [void]
      def refresh_agent_info = @agent_info.refresh

      # @api private
      # @return [Integer] number of traces that can wait, if each has one span
      def queue_limit = @options[:max_queue_spans] || Configuration::Options::TABLE[:max_queue_spans].default

      # @api private
      # @return [Exporter, nil]
      def running = @exporter

      # @api private
      # @return [Configuration] what the next exporter goes by
      # @raise [ConfigurationError] when the tracer's settings can't be used
      def configuration = configuration_by(settings, @defaults)

      # @api private
      # @return [DDTrace::WriterOptions] what comes between the tracer's settings and the options of this object
      attr_writer :defaults

      # Looks at settings before they are used.
      #
      # @api private
      # @param settings [Datadog::Core::Configuration::Settings]
      # @param defaults [DDTrace::WriterOptions]
      # @yieldparam warning [String] what is done about a setting that can't be used
      # @return [String, nil] why traces can't be exported by these settings, nil if they can
      def problem_with(settings, defaults, &warn)
        tracer = DDTrace::Settings.new(settings, agent: defaults.agent, &warn).exporter_options
        Exporter.of(configuration_by(tracer, defaults))
        nil
      rescue ConfigurationError => e
        e.message
      end

      # @api private
      def client
        return own.client unless usable?

        Client.new("#{exporter.otlp_endpoint || exporter.agent_url}?transport=datadog-native-export-#{VERSION}")
      end

      # @return [String] the exporter in short, if there is one
      def inspect
        "#<#{self.class} #{@exporter ? @exporter.inspect : "idle"}>"
      end

      private

      # Versions of the tracer before 2.40 don't close a transport on reconfiguration.
      def follow_settings
        close(timeout: 0) if (@exporter || @obstacle) && settings != @settings
      end

      def usable?
        exporter
        true
      rescue ConfigurationError
        false
      end

      def build
        raise @obstacle if @obstacle

        @settings = settings
        # The id is none of the settings: it changes in a forked child, which goes on with the same exporter.
        runtime_id = Datadog::Core::Environment::Identity.id
        Exporter.of(configuration_by({ runtime_id:, **@settings }, @defaults))
      rescue ConfigurationError => e
        DDTrace::Log.warn_once("off, the tracer keeps its own transport: #{e.message}")
        raise @obstacle = e
      end

      def configuration_by(settings, defaults)
        sources = { **settings, **defaults.exporter }.except(*@options.keys).transform_values { :dd_trace_rb }
        Configuration.new(DDTrace::Settings.merge(settings, defaults.exporter, @options), sources:)
      end

      def settings
        warn = DDTrace::Log.method(:warn_once)
        DDTrace::Settings.new(Datadog.configuration, agent: @defaults.agent, &warn).exporter_options
      end

      # Takes over where the agent's address can't be used by an exporter.
      def own
        @own ||= Datadog::Tracing::Transport::HTTP.default(
          agent_settings: @defaults.agent || DDTrace::Settings.agent(Datadog.configuration), logger: Datadog.logger
        )
      end

      def deliver(segments)
        exporter = self.exporter
        chunks, broken = lower(segments)
        responses = []
        responses << failure(broken, Error.new("#{broken} traces can't be sent")) if broken.positive?
        # Broken traces are counted by the exporter, too, even if there are no others.
        chunks.empty? ? exporter.export(chunks) : responses.concat(send_now(exporter, chunks))
        responses
      end

      # Returns the traces in the form in which they are sent, and the number of those that can't be.
      def lower(segments)
        chunks = TraceChunks.new(capacity: segments.size)
        [chunks, segments.count { |segment| !push(chunks, segment) }]
      end

      # Returns one response, or two where some traces were accepted and others are lost.
      def send_now(exporter, chunks)
        response = exporter.send_trace_chunks(chunks, timeout: @wait)
        accepted = response.accepted_count
        return [response] if response.loss.nil? || accepted.zero?

        [Response.new(trace_count: accepted, accepted_count: accepted, status: 200),
         response.without(accepted)]
      end

      # A trace that can't even be formatted costs nothing but itself.
      def push(chunks, segment)
        Datadog::Tracing::Transport::TraceFormatter.format!(segment)
        DDTrace::Log.flushing(segment)
        chunks.push_trace(segment.spans)
      rescue StandardError => e
        DDTrace::Log.debug(e)
        false
      end

      def failure(trace_count, error)
        Response.new(trace_count: trace_count, loss: :internal, error: error)
      end
    end
  end
end
