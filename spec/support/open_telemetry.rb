# frozen_string_literal: true

module Support
  # OpenTelemetry's SDK and its exporter: from the checkout of opentelemetry-ruby that OTEL_RUBY names, or else their
  # gems.
  module OpenTelemetry
    CHECKOUT = ENV.fetch("OTEL_RUBY", nil)
    SDK = %w[api sdk common registry semantic_conventions].freeze
    EXPORTER = %w[exporter/otlp-common exporter/otlp].freeze

    class << self
      # Why specs with the SDK can't run, or nil.
      def absent
        return if CHECKOUT ? File.file?("#{CHECKOUT}/sdk/lib/opentelemetry/sdk.rb") : installed?("opentelemetry-sdk")

        "OpenTelemetry's SDK is not at hand: OTEL_RUBY names no checkout, and there is no `opentelemetry-sdk` gem"
      end

      # Why specs with its exporter can't run, or nil.
      def exporter_absent
        absent || begin
          load_exporter
          nil
        rescue LoadError => e
          "OpenTelemetry's exporter can't be loaded: #{e.message}"
        end
      end

      # Options of Ruby that make the SDK known.
      def options = CHECKOUT ? folders(SDK).flat_map { |folder| ["-I", folder] } : []

      def load_sdk
        $LOAD_PATH.concat(folders(SDK) - $LOAD_PATH)
        require "opentelemetry/sdk"
      end

      def load_exporter
        load_sdk
        $LOAD_PATH.concat(folders(EXPORTER) - $LOAD_PATH)
        require "opentelemetry/exporter/otlp"
      end

      private

      def folders(names) = CHECKOUT ? names.map { |name| "#{CHECKOUT}/#{name}/lib" } : []

      def installed?(name) = Gem::Specification.find_all_by_name(name).any?
    end
  end
end
