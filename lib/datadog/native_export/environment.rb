# frozen_string_literal: true

module Datadog
  module NativeExport
    # Where the agent is, by the variables that all Datadog tracers read.
    module Environment
      DEFAULT_SOCKET = "/var/run/datadog/apm.socket"

      # @param env [Hash{String => String}]
      # @return [String] `DD_TRACE_AGENT_URL`; or else `DD_AGENT_HOST` and `DD_TRACE_AGENT_PORT`; or
      #   else the agent's default Unix socket where there is one; or else `http://127.0.0.1:8126`
      def self.agent_url(env = ENV)
        url, host, port = env.values_at("DD_TRACE_AGENT_URL", "DD_AGENT_HOST", "DD_TRACE_AGENT_PORT")
                             .map { |value| value unless value.to_s.empty? }
        return url if url
        return "unix://#{DEFAULT_SOCKET}" if host.nil? && port.nil? && File.socket?(DEFAULT_SOCKET)

        host = "[#{host}]" if host&.include?(":") && !host.start_with?("[")
        "http://#{host || "127.0.0.1"}:#{port || 8126}"
      end
    end
  end
end
