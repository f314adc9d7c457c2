# frozen_string_literal: true

require "json"

module Datadog
  module NativeExport
    # The outcome of {Exporter#send_trace_chunks}. If the chunks took several requests, it describes the first one
    # that failed, or else the last one. Frozen.
    class Response
      # @return [Integer] number of chunks handed to {Exporter#send_trace_chunks}
      attr_reader :trace_count
      # @return [Integer] number of chunks that were accepted, even if others were lost. Where an OTLP collector rejects
      #   some spans of a request, it is the least number.
      attr_reader :accepted_count
      # @return [Integer] number of chunks that were not sent since they are not sampled
      attr_reader :sampled_out_count
      # @return [Integer, nil] HTTP status of the answer; nil if there was none, or if no chunk had to be sent
      attr_reader :status
      alias code status
      # @return [String] body of the answer; empty if there was none
      attr_reader :payload
      # @return [Symbol, nil] why spans were lost: a key of `dropped` in {Exporter#stats}
      attr_reader :loss
      # @return [Error, nil] what went wrong. A {TimeoutError} means that the time given to the call ran out;
      #   the chunks are still being sent.
      attr_reader :error

      # @api private
      def initialize(trace_count:, accepted_count: 0, sampled_out_count: 0, status: nil, payload: "", loss: nil,
                     error: nil)
        @trace_count = trace_count
        @accepted_count = accepted_count
        @sampled_out_count = sampled_out_count
        @status = status
        @payload = payload
        @loss = loss
        @error = error
        freeze
      end

      # @api private
      # @param accepted [Integer] number of chunks to leave out
      # @return [Response] the response for the other chunks
      def without(accepted)
        self.class.new(trace_count: trace_count - accepted, status:, payload:, loss:, error:)
      end

      # @return [Boolean] whether everything was accepted that had to be sent
      def ok? = error.nil?

      # @return [Boolean] whether sending failed without an answer from the agent
      def internal_error? = !ok? && status.nil?

      # @return [Boolean] whether the agent answered with a status of 500 to 599
      def server_error? = status.to_i.between?(500, 599)

      # @return [Boolean] whether the agent answered with a status of 400 to 499
      def client_error? = status.to_i.between?(400, 499)

      # @return [Boolean] whether the agent doesn't know the endpoint (404)
      def not_found? = status == 404

      # @return [Boolean] whether the agent doesn't support the format (415)
      def unsupported? = status == 415

      # @return [Hash{String => Float}, nil] sampling rates by `"service:S,env:E"`; nil if the agent sent none
      def service_rates
        return unless ok?

        rates = JSON.parse(payload)
        rates["rate_by_service"] if rates.is_a?(Hash)
      rescue JSON::ParserError
        nil
      end

      # @return [String] the outcome in short
      def inspect
        "#<#{self.class} ok?=#{ok?} status=#{status.inspect} trace_count=#{trace_count} error=#{error.inspect}>"
      end
    end
  end
end
