# frozen_string_literal: true

require_relative "kinds"
require "uri"

module Datadog
  module NativeExport
    class Configuration
      module Kinds
        # Kinds of the `otlp_` options. Their variables are those of the OpenTelemetry specification
        # (https://opentelemetry.io/docs/specs/otel/protocol/exporter/).

        class OTLPEndpoint < URL
          DEFAULT = "http://localhost:4318/v1/traces"
          PATH = "/v1/traces"
          LONGEST = 8_000
          private_constant :DEFAULT, :PATH, :LONGEST

          # A URL that names nothing but a host stands for the usual path there.
          def take(value)
            url = super
            url&.match?(%r{\Ahttps?://[^/?#]+/?\z}) ? url.chomp("/") + PATH : url
          end

          def read(...) = super || [DEFAULT, "OTEL_TRACES_EXPORTER"]

          private

          def expected_text = "http(s)://host:port/path"

          # The endpoint of traces is taken as it is; to that of all signals the path of traces is added.
          def from(text, variable)
            uri = URI.parse(text)
            plain = [uri.userinfo, uri.query, uri.fragment].none?
            return unless uri.is_a?(URI::HTTP) && plain && uri.host.to_s.match?(Environment::HOST)
            return unless uri.port.between?(1, 65_535) && text.bytesize < LONGEST

            variable.end_with?("_TRACES_ENDPOINT") ? text : text.chomp("/") + PATH
          rescue URI::Error
            nil
          end
        end

        class OTLPProtocol < Text
          NAMES = %w[http/protobuf http/json].freeze

          private

          def expected_text = NAMES.join(" or ")
          def from(text, _variable) = (text if NAMES.include?(text))
        end

        class OTLPHeaders < Headers
          # What an exporter doesn't refuse.
          NAME = /\A(?!(?:connection|content-length|content-type|host|transfer-encoding)\z)[\w!#$%&'*+.^`|~-]+\z/i
          VALUE = /\A[\x20-\x7E]+\z/
          private_constant :NAME, :VALUE

          private

          def expected_text = "name=value,name=value"

          # Bytes may be percent-encoded.
          def from(text, _variable)
            pairs = text.split(",").map { |pair| pair.split("=", 2).map { |part| decode(part.strip) } }
            pairs.to_h if pairs.all? { |name, value| name.to_s.match?(NAME) && value.to_s.match?(VALUE) }
          rescue ArgumentError
            nil # Invalid bytes.
          end

          def decode(text) = text.b.gsub(/%\h\h/) { |byte| byte[1..].hex.chr }.force_encoding(Encoding::UTF_8)
        end

        class OTLPTimeout < Seconds
          private

          def expected_text = "a positive number of milliseconds"

          def from(text, _variable)
            milliseconds = Float(text, exception: false)
            take(milliseconds / 1_000) if milliseconds
          end
        end
      end
    end
  end
end
