# frozen_string_literal: true

require "optparse"

module Datadog
  module NativeExport
    class Doctor
      # The executable `datadog-native-export`.
      module Command
        USAGE = <<~TEXT
          usage: datadog-native-export doctor [--json]

          Shows how traces are exported by the variables of this environment, asks the agent or the OTLP collector
          what it is, sends a test trace, and says what to do about what fails.

              --json    writes one JSON object: ok, version, checks, configuration
              --help    shows this text

          Exit status: 0 if a trace was accepted, 1 if not, 2 if the arguments are wrong.
        TEXT
        private_constant :USAGE

        class << self
          # @param arguments [Array<String>]
          # @return [Integer] the exit status
          def run(arguments, out: $stdout, err: $stderr)
            json = help = false
            parser = OptionParser.new do |options|
              options.on("--json") { json = true }
              options.on("-h", "--help") { help = true }
            end
            rest = parser.parse(arguments)
            return out.puts(USAGE) || 0 if help
            return err.puts(USAGE) || 2 unless rest == ["doctor"]

            report = NativeExport.doctor
            out.puts(json ? JSON.generate(report) : report)
            report.ok? ? 0 : 1
          rescue OptionParser::ParseError => e
            err.puts("datadog-native-export: #{e.message}", USAGE)
            2
          end
        end
      end
    end
  end
end
