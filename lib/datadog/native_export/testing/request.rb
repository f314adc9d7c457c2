# frozen_string_literal: true

require_relative "payload"

module Datadog
  module NativeExport
    module Testing
      # An HTTP request that an {Agent} received. Frozen.
      class Request
        # @return [String] HTTP method in upper case
        attr_reader :method
        # @return [String] path, including any query
        attr_reader :path
        # @return [Hash{String => String}] headers by lower-case name
        attr_reader :headers
        # @return [String] body as bytes, with chunked encoding removed
        attr_reader :body
        # @return [Array<Array<Hash{String => Object}>>] decoded traces; empty if the request carries none or is
        #   invalid
        attr_reader :traces
        # @return [String, nil] why an agent would refuse the traces; nil if it would accept them
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

        # @return [Boolean] whether the request was sent to a trace endpoint that {Agent} supports
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
