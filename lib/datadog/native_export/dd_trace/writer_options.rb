# frozen_string_literal: true

module Datadog
  module NativeExport
    module DDTrace
      # The options of the tracer's own writer, as far as a {Writer} can follow them.
      # @api private
      class WriterOptions
        USED = %i[agent_settings flush_interval shutdown_timeout transport_options].freeze
        private_constant :USED

        # @param settings [Datadog::Core::Configuration::Settings]
        # @return [WriterOptions] what the tracer would give to its own writer: `c.tracing.writer_options`, or those of
        #   test mode
        def self.of(settings)
          tracing = settings.tracing
          new((tracing.test_mode.enabled ? tracing.test_mode : tracing).writer_options || {})
        end

        # @return [Hash{Symbol => Object}] all of them
        attr_reader :given
        # @return [Hash{Symbol => Object}] keywords of {Transport#initialize}
        attr_reader :exporter
        # @return [Array<String>] names of those that have no effect
        attr_reader :ignored

        # @param given [Hash{Symbol => Object}]
        def initialize(given)
          @given = given
          @ignored = (given.keys - USED).map(&:to_s)
          @exporter = { **seconds(:flush_interval), **seconds(:shutdown_timeout), **headers }
        end

        # @return [Object, nil] a transport of the application's own
        def transport = @given[:transport]

        # @return [Object, nil] agent settings in place of the tracer's
        def agent = @given[:agent_settings]

        private

        def seconds(name)
          seconds = @given[name]
          return {} if seconds.nil?
          return ignore(name) unless seconds.is_a?(Numeric) && seconds.real? && seconds.positive?

          { name => [seconds, Configuration::LONGEST].min }
        end

        def headers
          options = @given[:transport_options] || {}
          return ignore(:transport_options) unless options.is_a?(Hash)

          others = options.keys - [:headers]
          others.each { |name| ignore("transport_options.#{name}") }
          headers = options[:headers] || {}
          return ignore("transport_options.headers") unless headers.is_a?(Hash)

          { headers: Settings.usable_headers(headers) { |name, _| ignore("transport_options.headers.#{name}") } }
        end

        def ignore(name)
          @ignored << name.to_s
          {}
        end
      end
    end
  end
end
