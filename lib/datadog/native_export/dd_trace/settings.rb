# frozen_string_literal: true

module Datadog
  module NativeExport
    module DDTrace
      # Reads the options of an {Exporter} from the tracer's settings.
      #
      # The tracer's own transport takes values that an {Exporter} refuses. They become what that transport makes of
      # them, or are left out one by one, with a warning that names the variable: no setting may cost traces.
      # @api private
      class Settings
        # Seconds that a request may take by the tracer's defaults.
        TIMEOUT = 30
        # Variables behind headers whose values come from outside.
        HEADER_SOURCES = { "Datadog-External-Env" => "DD_EXTERNAL_ENV" }.freeze
        private_constant :TIMEOUT, :HEADER_SOURCES

        class << self
          # Without a logger, since the tracer itself has warned of what it ignores.
          #
          # @param settings [Datadog::Core::Configuration::Settings]
          # @return [Datadog::Core::Configuration::AgentSettings]
          def agent(settings)
            Datadog::Core::Configuration::AgentSettingsResolver.call(settings, logger: nil)
          end

          # Merges options from the weakest to the strongest. Headers are merged by name, in which case is ignored.
          #
          # @param options [Array<Hash{Symbol => Object}>]
          # @return [Hash{Symbol => Object}]
          def merge(*options)
            options.reduce do |weaker, stronger|
              weaker.merge(stronger) { |option, old, new| option == :headers ? merge_headers(old, new) : new }
            end
          end

          # Leaves out headers that say nothing, and those that no request can carry.
          #
          # @param headers [Hash]
          # @yieldparam name [String] of a header that no request can carry
          # @yieldparam value [String]
          # @return [Hash{String => String}]
          def usable_headers(headers)
            headers.filter_map do |name, value|
              text = value.to_s
              printable = text.ascii_only? && text.match?(/\A[\x20-\x7E]*\z/)
              yield name.to_s, text unless printable
              [name.to_s, text.strip] if printable && !text.strip.empty?
            end.to_h
          end

          private

          # What isn't a Hash is for the exporter to refuse.
          def merge_headers(old, new)
            return new unless new.is_a?(Hash)

            names = new.keys.map { |name| name.to_s.downcase }
            old.reject { |name, _| names.include?(name.to_s.downcase) }.merge(new)
          end
        end

        # @param settings [Datadog::Core::Configuration::Settings]
        # @param agent [Object, nil] agent settings in place of those in `settings`
        # @yieldparam warning [String] what is done about a setting that can't be used
        def initialize(settings, agent: nil, &warn)
          @settings = settings
          @agent = agent || self.class.agent(settings)
          @warn = warn
        end

        # @return [Hash{Symbol => Object}] keywords of {Exporter#initialize}
        def exporter_options
          {
            agent_url: agent_url,
            agent_timeout: agent_timeout,
            client_computed_top_level: true,
            client_computed_stats: standalone?,
            # nil leaves it to the environment, which is silent about a tracer that has no statistics.
            stats: (false if standalone?),
            span_events: span_events,
            headers: headers,
            tracer_version: Datadog::VERSION::STRING,
            logger: Log,
            **application
          }
        end

        private

        # What OTLP resources and statistics say of the application.
        def application
          {
            service: @settings.service,
            env: @settings.env,
            version: @settings.version,
            hostname: hostname,
            git_commit_sha: git_commit_sha
          }.transform_values { |value| value.to_s.encode(Encoding::UTF_8, invalid: :replace, undef: :replace).scrub }
        end

        def hostname
          socket = Datadog::Core::Environment::Socket
          return socket.resolved_hostname(@settings) if socket.respond_to?(:resolved_hostname)

          socket.hostname if @settings.tracing.report_hostname
        end

        # The first 2.x versions don't know it.
        def git_commit_sha
          return ENV.fetch("DD_GIT_COMMIT_SHA", nil) unless defined?(Datadog::Core::Environment::Git)

          Datadog::Core::Environment::Git.git_commit_sha
        end

        # The first 2.x versions have no `url`.
        def agent_url
          path = @agent.uds_path&.to_s
          # A path is meant to be relative to the working directory, which may change later.
          return "unix://#{File.absolute_path(path) unless path.empty?}" if path

          host = self.host
          host = "[#{host}]" if host.include?(":") && !host.start_with?("[")
          "#{@agent.ssl ? "https" : "http"}://#{host}:#{@agent.port}"
        end

        # Ruby's sockets connect to this machine when the host is empty.
        def host
          host = @agent.hostname.to_s
          return host unless host.empty?

          warn("DD_AGENT_HOST (c.agent.host) is empty; traces are sent to 127.0.0.1")
          "127.0.0.1"
        end

        def agent_timeout
          given = @agent.timeout_seconds
          seconds = given.is_a?(Numeric) && given.real? && given.positive? ? given : TIMEOUT
          seconds = [seconds, Configuration::LONGEST].min
          return seconds if seconds == given

          warn("DD_TRACE_AGENT_TIMEOUT_SECONDS (c.agent.timeout_seconds) is #{given.inspect}; " \
               "requests may take #{seconds} s")
          seconds
        end

        # Returns whether other products use the tracer without APM. Agents should compute no statistics then.
        def standalone?
          return !@settings.apm.tracing.enabled if @settings.respond_to?(:apm)

          # Before 2.13 that was a setting of one of those products, if there was one.
          appsec = @settings.respond_to?(:appsec) && @settings.appsec
          appsec.respond_to?(:standalone) && appsec.standalone.enabled
        end

        # nil leaves it to the agent.
        def span_events
          tracing = @settings.tracing
          tracing.native_span_events if tracing.respond_to?(:native_span_events)
        end

        def headers
          self.class.usable_headers(container) do |name, value|
            variable = HEADER_SOURCES.fetch(name, name)
            # The value isn't shown: it is not for this gem to know what is secret.
            warn("#{variable} has characters that no HTTP header should have") unless told_by_exporter?(variable, value)
          end
        end

        # Exporters read the environment, too, and complain of control characters.
        def told_by_exporter?(variable, value)
          value.ascii_only? && value.match?(/[\x00-\x08\x0A-\x1F\x7F]/) && value == ENV.fetch(variable, nil)
        end

        # The tracer knows more ways than this gem to find out in which container it runs.
        def container
          return {} unless defined?(Datadog::Core::Environment::Container)

          container = Datadog::Core::Environment::Container
          return container.to_headers if container.respond_to?(:to_headers)

          # The first 2.x versions know nothing but this.
          { "Datadog-Container-ID" => container.container_id }.compact
        end

        def warn(warning) = @warn&.call(warning)
      end
    end
  end
end
