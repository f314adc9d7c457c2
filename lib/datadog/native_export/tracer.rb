# frozen_string_literal: true

module Datadog
  module NativeExport
    # What is asked of dd-trace-rb outside of writing traces. All that isn't its public API is here
    # or in {Transport}, {Writer} and {Feedback}.
    # @api private
    module Tracer
      # dd-trace-rb has all of these from 2.0 on.
      NEEDED = %w[
        Datadog::Core::Configuration::AgentSettingsResolver
        Datadog::Tracing::Pipeline
        Datadog::Tracing::Runtime::Metrics
        Datadog::Tracing::Transport::HTTP::Statistics
        Datadog::Tracing::Transport::TraceFormatter
        Datadog::Tracing::Writer::Events
      ].freeze

      class << self
        # @return [String, nil] why traces can't be exported natively in this process
        def obstacle
          return NativeExport.load_error.message.lines.first&.chomp unless NativeExport.available?
          return "dd-trace-rb isn't loaded: require \"datadog\" first" unless defined?(Datadog::VERSION::STRING)

          missing = NEEDED.reject { |name| Object.const_defined?(name) }
          "dd-trace-rb #{Datadog::VERSION::STRING} has no #{missing.join(", ")}" unless missing.empty?
        end

        # @raise [UnavailableError, TracerError]
        def require!
          reason = obstacle or return
          raise NativeExport.available? ? TracerError : UnavailableError, reason
        end

        def writer
          Datadog.configuration.tracing.writer
        end

        # Components that run already are made anew; otherwise they are left for the application's own
        # `Datadog.configure` to start, with all of its settings.
        def writer=(writer)
          if Datadog.__send__(:components?)
            Datadog.configure { |c| c.tracing.writer = writer }
          else
            Datadog.configuration.tracing.writer = writer
          end
        end

        # Options of an {Exporter} by the tracer's present settings.
        #
        # @return [Hash{Symbol => Object}]
        def options
          settings = Datadog.configuration
          # Without a logger, since the tracer has complained of what it finds odd before.
          agent = Datadog::Core::Configuration::AgentSettingsResolver.call(settings, logger: nil)
          {
            agent_url: agent_url(agent),
            agent_timeout: agent.timeout_seconds,
            client_computed_top_level: true,
            client_computed_stats: standalone?(settings),
            span_events: span_events(settings),
            headers: container_headers,
            tracer_version: Datadog::VERSION::STRING,
            logger: self
          }
        end

        # Ends up in the tracer's log, whichever that is by then.
        def warn(line)
          Datadog.respond_to?(:logger) ? Datadog.logger.warn(line) : Kernel.warn(line)
        end

        # For what must not reach the application.
        def debug(error)
          Datadog.logger.debug do
            "datadog-native-export: #{error.class}: #{error.message} at #{Array(error.backtrace).first}"
          end
        rescue StandardError
          nil
        end

        private

        # Whether other products use the tracer without APM, for which agents should not count traces.
        def standalone?(settings)
          return !settings.apm.tracing.enabled if settings.respond_to?(:apm)

          # Before 2.13 that was a setting of one of those products, if there was one.
          appsec = settings.respond_to?(:appsec) && settings.appsec
          appsec.respond_to?(:standalone) && appsec.standalone.enabled
        end

        # nil where the agent is to be asked.
        def span_events(settings)
          tracing = settings.tracing
          tracing.native_span_events if tracing.respond_to?(:native_span_events)
        end

        # The tracer knows more ways to find out in which container it runs.
        def container_headers
          return {} unless defined?(Datadog::Core::Environment::Container)

          container = Datadog::Core::Environment::Container
          return container.to_headers if container.respond_to?(:to_headers)

          # The first versions know nothing but this.
          { "Datadog-Container-ID" => container.container_id }.compact
        end

        # The first versions have no `url`.
        def agent_url(agent)
          return "unix://#{agent.uds_path}" if agent.uds_path

          host = agent.hostname
          host = "[#{host}]" if host.include?(":") && !host.start_with?("[")
          "#{agent.ssl ? "https" : "http"}://#{host}:#{agent.port}"
        end
      end
    end
  end
end
