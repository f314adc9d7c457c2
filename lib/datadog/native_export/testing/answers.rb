# frozen_string_literal: true

require "json"
require_relative "request"

module Datadog
  module NativeExport
    module Testing
      # Chooses the status, headers and body of the answer to each request.
      # @api private
      class Answers
        INFO = {
          "version" => "7.70.0",
          "endpoints" => ["/v0.4/traces"],
          "client_drop_p0s" => false,
          "span_events" => true
        }.freeze
        STATS = "/v0.6/stats"
        JSON_TYPE = { "Content-Type" => "application/json" }.freeze
        TEXT_TYPE = { "Content-Type" => "text/plain" }.freeze

        # @param info [Hash] merged into the answer to `GET /info`
        # @param rate_by_service [Hash{String => Float}]
        def initialize(info, rate_by_service)
          info = INFO.merge(info.transform_keys(&:to_s))
          @endpoints = info["endpoints"]
          @info = JSON.generate(info)
          @rates = JSON.generate("rate_by_service" => rate_by_service)
        end

        # @return [#call, nil] returns the answer to a request that carries traces; nil for the usual answer
        attr_writer :script

        # @param request [Request]
        # @return [(Integer, Hash{String => String}, String)]
        def to(request)
          return [200, JSON_TYPE, @info] if request.method == "GET" && request.path == "/info"
          return [200, JSON_TYPE, "{}"] if request.path == STATS && @endpoints.include?(STATS)
          return [404, TEXT_TYPE, "404 page not found\n"] unless request.trace_request?

          scripted(request) || usual(request)
        end

        private

        def usual(request)
          request.error ? [400, TEXT_TYPE, request.error] : [200, JSON_TYPE, @rates]
        end

        def scripted(request)
          status, headers, body = @script&.call(request)
          [Integer(status), headers || {}, body || "{}"] if status
        rescue StandardError => e
          [500, TEXT_TYPE, e.full_message(highlight: false)]
        end
      end
      private_constant :Answers
    end
  end
end
