# frozen_string_literal: true

module Datadog
  module NativeExport
    class Configuration
      # The kinds of values that options have. Each kind answers
      #
      # - `take(value)`: the value in the form that is used, or nil if it can't be used;
      # - `read(variables, env)`: the value that the environment gives and the name of the variable, or nil;
      # - `expected`: what can be used, for messages;
      # - `describe(value)`: a value that can't be used, for messages;
      # - `show(value)`: a value in use, for {Exporter#config}.
      #
      # The last two show no secrets.
      # @api private
      module Kinds
        # Stands for what isn't shown.
        MASK = "…"

        class Kind
          # Yields a warning for each variable that can't be used.
          def read(variables, env)
            variables.each do |variable|
              text = env[variable].to_s.scrub.strip
              next if text.empty?

              value = from(text, variable)
              return [value, variable] unless value.nil?

              yield "#{variable}: expected #{expected_text}; it is ignored"
            end
            nil
          end

          def describe(value) = value.inspect
          def show(value) = value

          private

          # The value that a variable's text stands for, or nil if it can't be used.
          def from(text, _variable) = take(text)

          # What such a text is, for messages.
          def expected_text = expected
        end

        class Seconds < Kind
          def expected = "a positive number of seconds up to #{LONGEST}"

          def take(value)
            value.to_f if value.is_a?(Numeric) && value.real? && value.positive? && value <= LONGEST
          end

          private

          def from(text, _variable) = take(Float(text, exception: false))
        end

        class Count < Kind
          def expected = "an Integer of 1 or more"
          def take(value) = (value if value.is_a?(Integer) && value.between?(1, 2**62))
        end

        class Choice < Kind
          def initialize(*choices)
            super()
            @choices = choices
          end

          def expected = "one of #{@choices.map(&:inspect).join(", ")}"
          def take(value) = (value if @choices.include?(value))
        end

        class Flag < Choice
          WORDS = { "true" => true, "1" => true, "false" => false, "0" => false }.freeze

          def initialize = super(true, false)

          private

          def from(text, _variable) = WORDS[text.downcase]
        end

        class Text < Kind
          # Bytes. What is longer is no header that any receiver takes, and perhaps no memory is left to copy it.
          LONGEST = 64 * 1024
          private_constant :LONGEST

          def expected = "a String"

          def take(value)
            text = value.encode(Encoding::UTF_8) if value.is_a?(String) && value.bytesize <= LONGEST
            text if text&.valid_encoding?
          rescue EncodingError
            nil
          end

          def describe(value)
            case value
            when Numeric, true, false, nil then value.inspect
            when String then "a String#{flaw(value)}"
            else value.class.to_s
            end
          end

          private

          def flaw(text)
            return " of #{text.bytesize} bytes, more than #{LONGEST}" if text.bytesize > LONGEST

            " that is not valid #{text.encoding}" unless text.valid_encoding?
          end
        end

        class Secret < Text
          def show(value) = value && MASK
        end

        # A path or a query may hold a secret, as user names and passwords do.
        class URL < Text
          ADDRESS = %r{\A(?:https?://)(?:\[[\h:.]+\]|[\w.-]+)(?::\d{1,5})?(?=/|\z)}i

          def show(value)
            return value if value.nil? || value.start_with?("unix://")

            address = value[ADDRESS] or return MASK
            ["", "/"].include?(value.delete_prefix(address)) ? value : "#{address}/#{MASK}"
          end
        end

        class AgentURL < URL
          def read(_variables, env, &warn) = Environment.agent(env, &warn)
        end

        class Headers < Text
          TEXT = Text.new.freeze

          def expected = "a Hash of Strings"

          def take(value)
            return unless value.is_a?(Hash)

            headers = value.to_a.map { |pair| pair.map { |text| TEXT.take(text) } }
            headers.to_h unless headers.flatten.include?(nil)
          end

          def describe(value)
            return super unless value.is_a?(Hash)

            bad = value.to_a.flatten(1).find { |text| TEXT.take(text).nil? }
            "a Hash with #{super(bad)}"
          end

          def show(value) = value.transform_values { MASK }
        end

        # Loggers belong to the application, so only their class is shown.
        class Logger < Kind
          def expected = "an object with the method warn"
          def take(value) = (value if value.respond_to?(:warn))
          def describe(value) = value.class.to_s
          def show(value) = value && (value.is_a?(Module) ? value : value.class).to_s
        end
      end
      private_constant :Kinds
    end
  end
end
