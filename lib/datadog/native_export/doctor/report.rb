# frozen_string_literal: true

require "json"

module Datadog
  module NativeExport
    class Doctor
      # What one look has found. `status` is `:ok`, `:warning`, `:failed` or `:skipped`.
      Check = Struct.new(:name, :status, :text, :cure, :details) do
        def self.ok(text, details = {}) = new(nil, :ok, text, nil, details)
        def self.warning(text, cure, details = {}) = new(nil, :warning, text, cure, details)
        def self.failed(text, cure, details = {}) = new(nil, :failed, text, cure, details)
        def self.skipped(reason) = new(nil, :skipped, "not tried: #{reason}", nil, {})

        def named(name) = self.class.new(name, status, text, cure, details).freeze
      end

      # What {NativeExport.doctor} has found. Has no secrets.
      class Report
        # @return [Array<Check>] in the order in which they were made
        attr_reader :checks

        # @param checks [Array<Check>]
        # @param configuration [Hash, nil] see {Exporter#config}
        def initialize(checks, configuration)
          @checks = checks.freeze
          @configuration = configuration
        end

        # @return [Boolean] whether a trace was accepted
        def ok? = @checks.any? { |check| check.name == :trace && %i[ok warning].include?(check.status) }

        # @return [Hash{Symbol => Object}] what {#to_json} writes: `ok`, `version`, `checks` and `configuration`
        def to_h = { ok: ok?, version: VERSION, checks: @checks.map(&:to_h), configuration: @configuration }

        # @return [String]
        def to_json(*arguments) = to_h.to_json(*arguments)

        # @return [String] a line for each check, with its cure, its details and the options below it
        def to_s
          lines = @checks.flat_map { |check| lines_of(check) }
          [*lines, "", ok? ? "A trace was accepted." : "No trace was accepted."].join("\n")
        end

        private

        def lines_of(check)
          [row(check.name, check.status, check.text), *(row("", "cure", check.cure) if check.cure),
           *(check.name == :configuration ? options : abilities(check))]
        end

        def row(name, status, text) = "#{name.to_s.ljust(14)} #{status.to_s.ljust(8)} #{text}"

        def options
          @configuration.to_h.map do |name, option|
            value = option[:value]
            shown = ["", nil, {}].include?(value) ? "-" : value.inspect
            "  #{name.to_s.ljust(26)} #{shown.ljust(32)} #{option[:source]}"
          end
        end

        def abilities(check)
          endpoints, abilities = check.details.values_at(:endpoints, :abilities)
          [*("  endpoints: #{endpoints.join(", ")}" if endpoints),
           *abilities.to_h.map { |name, value| "  #{name}: #{value ? "yes" : "no"}" }]
        end
      end
    end
  end
end
