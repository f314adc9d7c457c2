# frozen_string_literal: true

module Datadog
  module NativeExport
    # What an {Exporter} goes by: the value of each option, and where it comes from. An option that was given comes
    # before variables, and these before the default; nil is as if it weren't given. Variables that can't be used are
    # ignored with a warning, since nothing in the environment may keep a process from starting.
    # @api private
    class Configuration
      # Longest time in seconds, a year. No option needs more, and adding it to a clock's time can't overflow.
      LONGEST = 31_536_000

      # @return [Hash{Symbol => Object}] the value of each option
      attr_reader :values
      # @return [Array<String>] why variables are ignored
      attr_reader :warnings

      # @param given [Hash{Symbol => Object}] keywords of {Exporter#initialize}
      # @param sources [Hash{Symbol => Symbol}] where they come from, unless it is the caller
      # @param env [Hash{String => String}]
      # @raise [ConfigurationError] if a value can't be used
      # @raise [ArgumentError] if there is no such option
      def initialize(given, sources: {}, env: ENV)
        unknown = given.keys - Options::TABLE.keys
        raise ArgumentError, "unknown options: #{unknown.map(&:inspect).join(", ")}" if unknown.any?

        @given = given.compact
        @given_by = sources
        @env = env
        @values = {}
        @sources = {}
        @warnings = []
        Options::TABLE.each_value { |option| set(option, given(option) || from_environment(option) || default(option)) }
        refuse_contradictions
      end

      # @return [Configuration] the same, but for these options
      def with(**options) = Configuration.new({ **@given, **options }, sources: @given_by, env: @env)

      # @return [Hash{Symbol => Hash}] see {Exporter#config}
      def to_h
        shown = @values.to_h do |name, value|
          [name, { value: Options::TABLE[name].kind.show(value), source: @sources[name] }]
        end
        Ractor.make_shareable(shown)
      end

      # Values may be secret.
      def inspect = "#<#{self.class}>"

      private

      def set(option, (value, source))
        @values[option.name] = value
        @sources[option.name] = source
      end

      def given(option)
        value = @given.fetch(option.name) { return }
        kind = option.kind
        taken = kind.take(value)
        return [taken, @given_by.fetch(option.name, :keyword)] unless taken.nil?

        raise ConfigurationError, "#{option.name}: expected #{kind.expected}, got #{kind.describe(value)}"
      end

      def from_environment(option)
        return if option.name.start_with?("otlp_") && !collector?

        option.kind.read(option.variables, @env) { |warning| @warnings << warning }
      end

      def default(option)
        value = option.default
        [value.nil? ? nil : option.kind.take(value), :default]
      end

      # Whether spans go to an OTLP collector. What was given is for the agent where it names the agent, or asks for
      # what agents alone do.
      def collector?
        return true if @given.key?(:otlp_endpoint)

        selected = @env["OTEL_TRACES_EXPORTER"].to_s.split(",").any? { |name| name.strip.casecmp?("otlp") }
        selected && !@given.key?(:agent_url) && !@given[:stats]
      end

      def refuse_contradictions
        receivers = %i[agent_url otlp_endpoint]
        refuse(*receivers, "spans go to one of them") if receivers.all? { |name| @sources[name] == :keyword }
        unused = @given.keys.find { |name| name.start_with?("otlp_") }
        raise ConfigurationError, "#{unused}: has no effect without otlp_endpoint" if unused && !collector?

        Options::CONTRADICTIONS.each do |weaker, stronger, reason|
          next unless @values[weaker] && @values[stronger]

          @sources[weaker].is_a?(String) ? ignore(weaker, stronger, reason) : refuse(weaker, stronger, reason)
        end
      end

      def refuse(option, other, reason)
        raise ConfigurationError, "#{option} and #{other} can't both be set: #{reason}"
      end

      def ignore(name, other, reason)
        @warnings << "#{@sources[name]} is ignored, since #{other} is set: #{reason}"
        set(Options::TABLE[name], default(Options::TABLE[name]))
      end
    end
    private_constant :Configuration
  end
end

require_relative "configuration/options"
