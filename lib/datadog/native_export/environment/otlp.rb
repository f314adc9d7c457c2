# frozen_string_literal: true

module Datadog
  module NativeExport
    module Environment
      # Where traces are sent by OTLP, by the variables of the OpenTelemetry specification
      # (https://opentelemetry.io/docs/specs/otel/protocol/exporter/). Those of traces come before those of all signals.
      # @api private
      class OTLP
        DEFAULT_ENDPOINT = "http://localhost:4318"
        TRACES_PATH = "/v1/traces"
        PROTOCOLS = %w[http/protobuf http/json].freeze
        private_constant :DEFAULT_ENDPOINT

        # @param env [Hash{String => String}]
        # @yieldparam warning [String] why a variable is ignored, naming it
        def initialize(env, &warn)
          @env = env
          @warn = warn
        end

        # @return [Boolean] whether traces are to be sent by OTLP
        def selected? = @env["OTEL_TRACES_EXPORTER"].to_s.split(",").any? { |name| name.strip.casecmp?("otlp") }

        # @return [Hash{Symbol => Object}]
        def options
          { otlp_endpoint: endpoint, otlp_protocol: protocol, otlp_headers: headers, otlp_timeout: timeout }.compact
        end

        private

        # The endpoint of traces is taken as it is; to that of all signals the path of traces is added.
        def endpoint
          url("TRACES_ENDPOINT") || (url("ENDPOINT") || DEFAULT_ENDPOINT).chomp("/") + TRACES_PATH
        end

        def url(name)
          text = read(name) or return
          uri = URI.parse(text)
          plain = uri.userinfo.nil? && uri.query.nil? && uri.fragment.nil?
          return text if uri.is_a?(URI::HTTP) && plain && uri.host.to_s.match?(HOST) && uri.port.between?(1, 65_535)

          ignore(name, "not http(s)://host:port/path")
        rescue URI::Error
          ignore(name, "not a URL")
        end

        def protocol
          name, text = first("PROTOCOL")
          return text if text.nil? || PROTOCOLS.include?(text)

          ignore(name, "neither #{PROTOCOLS.join(" nor ")}")
        end

        # `name=value` pairs with commas in between, in which bytes may be percent-encoded.
        def headers
          name, text = first("HEADERS")
          return if text.nil?

          text.split(",").to_h do |pair|
            key, value = pair.split("=", 2).map { |part| decode(part.strip) }
            raise ArgumentError if key.nil? || key.empty? || value.nil?

            [key, value]
          end
        rescue ArgumentError
          ignore(name, "not of the form name=value,name=value")
        end

        def decode(text) = text.b.gsub(/%\h\h/) { |byte| byte[1..].hex.chr }.force_encoding(Encoding::UTF_8)

        def timeout
          name, text = first("TIMEOUT")
          return if text.nil?

          seconds = Float(text, exception: false).to_f / 1_000
          return seconds if seconds.positive? && seconds <= Exporter::LONGEST

          ignore(name, "not a positive number of milliseconds")
        end

        def first(name)
          ["TRACES_#{name}", name].map { |variable| [variable, read(variable)] }.find(&:last)
        end

        def read(name)
          text = @env["OTEL_EXPORTER_OTLP_#{name}"].to_s.strip
          text unless text.empty?
        end

        # The value isn't shown, since a URL or a header may hold a secret.
        def ignore(name, problem)
          @warn&.call("OTEL_EXPORTER_OTLP_#{name} is #{problem}, and is ignored")
          nil
        end
      end
    end
  end
end
