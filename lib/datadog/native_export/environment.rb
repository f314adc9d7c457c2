# frozen_string_literal: true

require "uri"

module Datadog
  module NativeExport
    # Where the agent or the OTLP collector is, by the variables that all Datadog tracers, or OpenTelemetry SDKs, read.
    module Environment
      # @api private
      VARIABLES = %w[DD_TRACE_AGENT_URL DD_AGENT_HOST DD_TRACE_AGENT_PORT].freeze
      # Where the agent listens on the machine that it shares with applications.
      DEFAULT_SOCKET = "/var/run/datadog/apm.socket"
      DEFAULT_HOST = "127.0.0.1"
      DEFAULT_PORT = 8126
      # Neither a host name nor an IP address has any other character.
      # @api private
      HOST = /\A[\w.:\[\]-]+\z/
      # `sockaddr_un` holds 108 bytes with the closing NUL.
      LONGEST_SOCKET_PATH = 107
      private_constant :DEFAULT_HOST, :DEFAULT_PORT, :LONGEST_SOCKET_PATH

      class << self
        # Reads where the agent is as dd-trace-rb does. A variable that can't be used is ignored.
        #
        # @param env [Hash{String => String}]
        # @yieldparam warning [String] why a variable is ignored, naming it
        # @return [String] `DD_TRACE_AGENT_URL` (`http://host:port`, `https://host:port` or `unix:path`); or else
        #   `DD_AGENT_HOST` and `DD_TRACE_AGENT_PORT`; or else the agent's default Unix socket where there is one; or
        #   else `http://127.0.0.1:8126`
        def agent_url(env = ENV, &warn) = agent(env, &warn)[0]

        # @api private
        # @return [(String, String), (String, :default)] the same, with the names of the variables that it comes from
        def agent(env, &warn)
          warn ||= proc {}
          url, host, port = VARIABLES.map { |name| env[name].to_s.strip }
          host = host(host, &warn)
          port = port(port, &warn)
          if (url = from_url(url, &warn)) then [url, VARIABLES[0]]
          elsif host || port
            ["http://#{host || DEFAULT_HOST}:#{port || DEFAULT_PORT}",
             [(VARIABLES[1] if host), (VARIABLES[2] if port)].compact.join(", ")]
          else
            [default_socket || "http://#{DEFAULT_HOST}:#{DEFAULT_PORT}", :default]
          end
        end

        # Reads where traces are sent by OTLP, for an exporter that is to send them there whatever
        # `OTEL_TRACES_EXPORTER` says: `Exporter.new(**Environment.otlp_options)`.
        #
        # @param env [Hash{String => String}]
        # @yieldparam warning [String] why a variable is ignored, naming it
        # @return [Hash{Symbol => Object}] `otlp_endpoint`, by default `http://localhost:4318/v1/traces`, and of the
        #   other `otlp_` options of {Exporter#initialize} those that the environment has
        def otlp_options(env = ENV, &warn)
          warn ||= proc {}
          options = Configuration::Options::TABLE.each_value.select { |option| option.name.start_with?("otlp_") }
          options.to_h { |option| [option.name, option.kind.read(option.variables, env, &warn)&.first] }.compact
        end

        private

        def from_url(text, &warn)
          return if text.empty?

          case text
          when /\Aunix:/i then socket_url(text.sub(%r{\Aunix:(//)?}i, ""))
          when %r{\Ahttps?://}i then http_url(URI.parse(text))
          end || ignore("DD_TRACE_AGENT_URL", "neither http(s)://host:port nor unix:///path/to/socket", &warn)
        rescue URI::Error
          ignore("DD_TRACE_AGENT_URL", "not a URL", &warn)
        end

        # A path is meant to be relative to the working directory, which may change later.
        def socket_url(path)
          absolute = File.absolute_path(path)
          "unix://#{absolute}" if !path.empty? && absolute.bytesize <= LONGEST_SOCKET_PATH
        end

        def http_url(uri)
          "#{uri.scheme}://#{uri.host}:#{uri.port}" if uri.host.to_s.match?(HOST) && uri.port.between?(1, 65_535)
        end

        def default_socket
          "unix://#{DEFAULT_SOCKET}" if File.socket?(DEFAULT_SOCKET)
        end

        def host(text, &warn)
          return if text.empty?
          return ignore("DD_AGENT_HOST", "not a host", &warn) unless text.match?(HOST)

          text.include?(":") && !text.start_with?("[") ? "[#{text}]" : text
        end

        # Kubernetes sets the port to `tcp://10.3.0.7:8126` by itself where a Service is called dd-trace-agent.
        def port(text, &warn)
          return if text.empty?

          port = Integer(text, exception: false)
          return port if port&.between?(1, 65_535)

          ignore("DD_TRACE_AGENT_PORT", "not a port", &warn)
        end

        # The value isn't shown, since a URL may hold a password.
        def ignore(variable, problem)
          yield "#{variable} is #{problem}, and is ignored"
          nil
        end
      end
    end
  end
end
