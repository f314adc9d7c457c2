# frozen_string_literal: true

require_relative "payload"

module Datadog
  module NativeExport
    module Testing
      # One HTTP request as {Agent} received it. Frozen.
      class Request
        # @return [String] HTTP method in capitals
        attr_reader :method
        # @return [String] path, with the query if there was one
        attr_reader :path
        # @return [Hash{String => String}] headers by name in small letters
        attr_reader :headers
        # @return [String] the bytes of the body, chunked encoding undone
        attr_reader :body
        # @return [Array<Array<Hash{String => Object}>>] decoded traces; none unless they are valid
        attr_reader :traces
        # @return [String, nil] why an agent refuses this trace request; nil if it doesn't
        attr_reader :error

        # @api private
        # @param head [HTTP::Head]
        def initialize(head, body)
          @method = head.verb
          @path = head.path
          @headers = head.headers.freeze
          @body = body.freeze
          @traces = trace_request? ? decode : []
          freeze
        end

        # @return [Boolean] whether it was sent to an endpoint for traces that {Agent} knows
        def trace_request?
          path == "/v0.4/traces" && %w[PUT POST].include?(method)
        end

        private

        def decode
          type = headers["content-type"]
          raise Payload::Invalid, "Content-Type is #{type.inspect}" unless type == "application/msgpack"

          Payload.decode(body)
        rescue Payload::Invalid => e
          @error = e.message
          []
        end
      end
    end
  end
end
