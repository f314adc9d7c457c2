# frozen_string_literal: true

module Datadog
  module NativeExport
    # Settles who receives the spans of an {Exporter}, and whether statistics of them are computed, by options and
    # environment. Options come first: a variable that contradicts them has no effect.
    # @api private
    class Receiver
      OTLP = { otlp_endpoint: nil, otlp_protocol: "http/protobuf", otlp_headers: {}.freeze, otlp_timeout: 10 }.freeze
      private_constant :OTLP

      # @param options [Hash{Symbol => Object}] `agent_url`, `stats`, `client_computed_stats` and the `otlp_` options
      # @yieldparam warning [String] why a variable is ignored, naming it
      def initialize(options, env: ENV, &warn)
        @otlp = options.slice(*OTLP.keys).compact
        @stats = options.fetch(:stats)
        @client_computed_stats = options.fetch(:client_computed_stats)
        @env = env
        @warn = warn
        @collector = @otlp.key?(:otlp_endpoint) || (options[:agent_url].nil? && !@stats && Environment.otlp?(env))
      end

      # @return [Hash{Symbol => Object}] all `otlp_` options; `otlp_endpoint` is nil for an agent
      # @raise [ConfigurationError]
      def otlp
        return { **OTLP, **Environment.otlp_options(@env, &@warn), **@otlp, **endpoint } if @collector

        unused = @otlp.keys.first
        raise ConfigurationError, "#{unused}: has no effect without otlp_endpoint" if unused

        OTLP
      end

      # @return [Boolean] whether statistics are to be computed
      # @raise [ConfigurationError]
      def stats?
        wanted = @stats.nil? ? Environment.stats?(@env) : @stats
        return wanted unless wanted && obstacle
        raise ConfigurationError, "stats: can't be true #{obstacle}" if @stats

        @warn.call("DD_TRACE_STATS_COMPUTATION_ENABLED has no effect #{obstacle}")
        false
      end

      private

      def obstacle
        if @client_computed_stats then "where client_computed_stats is"
        elsif @collector then "where spans go to an OTLP collector, which takes no statistics"
        end
      end

      # A URL that names nothing but a host stands for the usual path there.
      def endpoint
        url = @otlp[:otlp_endpoint]
        return {} unless url.is_a?(String) && url.match?(%r{\Ahttps?://[^/?#]+/?\z})

        { otlp_endpoint: url.chomp("/") + Environment::OTLP::TRACES_PATH }
      end
    end
    private_constant :Receiver
  end
end
