# frozen_string_literal: true

require "json"

module Datadog
  module NativeExport
    # What became of {Exporter#send_trace_chunks}. When the chunks took several requests it tells of
    # the first that failed, or else of the last.
    class Response
      # @return [Integer] number of chunks that were to be sent
      attr_reader :trace_count
      # @return [Integer, nil] HTTP status of the agent's answer, nil without one
      attr_reader :status
      alias code status
      # @return [String] body of the agent's answer, empty without one
      attr_reader :payload
      # @return [Symbol, nil] why spans were lost, as in {Exporter#stats}
      attr_reader :loss
      # @return [Error, nil] what went wrong; a {TimeoutError} when the time ran out, in which case
      #   the chunks are still on their way
      attr_reader :error

      # @api private
      def initialize(trace_count:, status: nil, payload: "", loss: nil, error: nil)
        @trace_count = trace_count
        @status = status
        @payload = payload
        @loss = loss
        @error = error
        freeze
      end

      # @return [Boolean] whether the agent accepted everything
      def ok? = error.nil?

      # @return [Boolean] whether it failed without an answer of the agent
      def internal_error? = !ok? && status.nil?

      # @return [Boolean] whether the agent answered with a status of 500 to 599
      def server_error? = status.to_i.between?(500, 599)

      # @return [Boolean] whether the agent answered with a status of 400 to 499
      def client_error? = status.to_i.between?(400, 499)

      # @return [Boolean] whether the agent doesn't know the endpoint (404)
      def not_found? = status == 404

      # @return [Boolean] whether the agent doesn't take the format (415)
      def unsupported? = status == 415

      # @return [Hash{String => Float}, nil] sampling rates by `"service:S,env:E"` when the agent
      #   sent them
      def service_rates
        return unless ok?

        rates = JSON.parse(payload)
        rates["rate_by_service"] if rates.is_a?(Hash)
      rescue JSON::ParserError
        nil
      end

      def inspect
        "#<#{self.class} ok?=#{ok?} status=#{status.inspect} trace_count=#{trace_count} error=#{error.inspect}>"
      end
    end
  end
end
