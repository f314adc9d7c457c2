# frozen_string_literal: true

require "logger"
require_relative "doctor/command"
require_relative "doctor/cures"
require_relative "doctor/probe"
require_relative "doctor/report"

module Datadog
  module NativeExport
    # Finds out whether traces arrive, and if not, why: looks at Ruby, the extension and the configuration, asks the
    # agent what it is, and sends a trace. See {NativeExport.doctor}. Works without the extension, too.
    # @api private
    class Doctor
      # Seconds that one request may take, whatever is configured.
      LIMIT = 5
      ENGINES = { "jruby" => "JRuby", "truffleruby" => "TruffleRuby", "ruby" => "CRuby" }.freeze
      private_constant :LIMIT, :ENGINES

      # @param options [Hash{Symbol => Object}] see {NativeExport.doctor}
      def initialize(options = {})
        @options = options
        @checks = []
      end

      # @return [Report]
      def examine
        check(:ruby) { ruby }
        check(:extension) { extension }
        check(:configuration) { configuration }
        check(collector? ? :collector : :agent) { receiver }
        check(:trace) { trace }
        Report.new(@checks, @configuration&.to_h)
      end

      private

      def check(name)
        @checks << yield.named(name)
      rescue StandardError => e
        @checks << Check.failed("#{e.class}: #{Cures.printable(e.message)}", Cures::DEFECT).named(name)
      end

      def ruby
        engine = ENGINES.fetch(RUBY_ENGINE, RUBY_ENGINE)
        text = "#{engine} #{RUBY_ENGINE_VERSION} on #{RUBY_PLATFORM}, datadog-native-export #{VERSION}"
        details = { engine: RUBY_ENGINE, version: RUBY_VERSION, platform: RUBY_PLATFORM }
        return Check.ok(text, details) if RUBY_ENGINE == "ruby" && !RUBY_PLATFORM.match?(/mswin|mingw/)

        Check.failed(text, "Run the application with CRuby 3.1 or newer on Linux: nothing else is supported.", details)
      end

      def extension
        error = NativeExport.load_error
        return Check.ok("loaded") unless error

        Check.failed("not loaded: #{Cures.printable(error.message)}", Cures.of_load_error(error.message))
      end

      def configuration
        @configuration = self.class.configuration(@options)
        @exporter = Exporter.of(@configuration.with(**short)) if NativeExport.available?
        warnings = @configuration.warnings
        return Check.ok("valid") if warnings.empty?

        Check.warning(warnings.join("; "), "Correct these variables, or unset them.", warnings: warnings)
      rescue ConfigurationError, ArgumentError => e
        @configuration = nil
        Check.failed(e.message, "Correct this option: see docs/reference.md.")
      end

      # So that one attempt is made, and soon.
      def short
        limits = { agent_timeout: limit(:agent_timeout), retry_deadline: 0.1, shutdown_timeout: 0.1 }
        limits[:otlp_timeout] = limit(:otlp_timeout) if collector?
        { **limits, logger: Logger.new(nil) }
      end

      def limit(option) = [@configuration.values[option], LIMIT].min

      def collector? = !@configuration&.values&.fetch(:otlp_endpoint).nil?

      def receiver
        return Check.skipped("there is no valid configuration") unless @configuration

        collector? ? collector : agent
      end

      # Collectors have nothing to ask for, so that all there is to try is the connection.
      def collector
        probe(:otlp_endpoint, :otlp_timeout, :otlp_headers) do |probe|
          probe.connect
          Check.ok("#{probe.address} can be connected to", address: probe.address)
        end
      end

      def agent
        probe(:agent_url, :agent_timeout, :headers) do |probe|
          answer = probe.get("/info")
          details = { address: probe.address, status: answer.status }
          if answer.info then describe(answer.info, details)
          elsif answer.status == 404
            Check.warning("#{probe.address} has no /info", Cures::NO_INFO, details)
          elsif answer.status == 200
            Check.warning("#{probe.address} answers /info, but not as agents do", Cures::NOT_AN_AGENT, details)
          else
            Check.failed("#{probe.address} answers /info with status #{answer.status}",
                         Cures.of_status(answer.status), details)
          end
        end
      end

      def describe(info, details)
        abilities = info.select { |_, value| [true, false].include?(value) }.transform_keys { Cures.printable(_1) }
        endpoints = info["endpoints"].map { |endpoint| Cures.printable(endpoint) }
        details = { **details, version: Cures.printable(info.fetch("version", "unknown")), endpoints:, abilities: }
        text = "version #{details[:version]} at #{details[:address]}"
        return Check.ok(text, details) if endpoints.include?("/v0.4/traces")

        Check.warning("#{text}, without /v0.4/traces", Cures.of_status(404), details)
      end

      def probe(url, timeout, headers)
        values = @configuration.values
        address = @configuration.to_h[url][:value]
        yield Probe.new(values[url], address, limit(timeout), values[headers])
      rescue StandardError => e
        symptom, cure = Cures.of_error(e, values[url])
        cure = Cures::COLLECTOR.fetch(cure, cure) if collector?
        Check.failed("#{address}: #{symptom}", cure, address: address)
      end

      def trace
        return Check.skipped("it needs the extension and a valid configuration") unless @exporter

        response = @exporter.send_trace_chunks(test_trace, timeout: LIMIT + 3)
        details = { status: response.status, rates: response.service_rates&.size }
        return refused(response, details) unless response.ok?

        accepted(response, details)
      ensure
        @exporter&.shutdown(timeout: 0)
      end

      def accepted(response, details)
        text = "accepted with status #{response.status}"
        return Check.ok(text, details) if collector?
        return Check.ok("#{text} and sampling rates", details) if details[:rates]

        Check.warning("#{text}, but without sampling rates", Cures::NOT_AN_AGENT, details)
      end

      def refused(response, details)
        Check.failed(Cures.printable(response.error.message), cure_of(response), details)
      end

      def cure_of(response)
        return Cures.of_status(response.status, collector: collector?) if response.status

        is_connected = collector? && @checks.last.status == :ok
        is_connected ? Cures::COLLECTOR.fetch(Cures::UNREACHABLE) : Cures::UNREACHABLE
      end

      def test_trace
        service = @configuration.values[:service]
        span = Span.new(name: "datadog_native_export.doctor", resource: "doctor",
                        service: service.empty? ? "datadog-native-export" : service,
                        trace_id: rand(1...2**63), span_id: rand(1...2**63), start: Time.now, duration: 1_000_000)
        # So that it isn't sampled out.
        TraceChunks.new.begin_chunk << span.set_metric("_sampling_priority_v1", 1)
      end

      class << self
        # What an application exports by: these options if there are any, or else the default exporter's if it has been
        # configured, or else those of the tracer's {Writer} if it has one.
        #
        # @return [Configuration]
        def configuration(options)
          settings = NativeExport.__send__(:settings).to_h.compact
          return Configuration.new(options) if options.any?

          (settings.empty? && of_tracer) || Configuration.new(settings)
        end

        private

        def of_tracer
          return if NativeExport.autoload?(:Writer) || !NativeExport.available?

          writer = Datadog.configuration.tracing.writer
          writer.transport.configuration if writer.is_a?(Writer) && writer.transport.is_a?(Transport)
        end
      end
    end
    private_constant :Doctor
  end
end
