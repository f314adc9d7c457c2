# frozen_string_literal: true

# What this gem uses of dd-trace-rb, where that isn't at hand: as little as will do, in children.

require "logger"
require_relative "tracer_span"

module Datadog
  module VERSION
    STRING = "2.0.0"
  end

  # Remembers what it is told.
  class HealthMetrics
    def calls = @calls ||= Hash.new { |calls, name| calls[name] = [] }
    def respond_to_missing?(*) = true
    def method_missing(name, value = nil) = calls[name] << value
  end

  Agent = Struct.new(:hostname, :port, :uds_path, :ssl, :timeout_seconds, keyword_init: true)
  TestMode = Struct.new(:enabled, :async, :writer_options)
  TracingSettings = Struct.new(:enabled, :instance, :test_mode, :writer, :writer_options, :report_hostname)
  Settings = Struct.new(:tracing, :agent, :service, :env, :version)

  class << self
    attr_writer :logger

    def configuration
      @configuration ||= Settings.new(TracingSettings.new(true, nil, TestMode.new),
                                      Agent.new(hostname: "127.0.0.1", timeout_seconds: 3))
    end

    def configure = yield(configuration)
    def logger = @logger ||= Logger.new($stderr, level: Logger::INFO)
    def health_metrics = @health_metrics ||= HealthMetrics.new

    private

    def components? = false
    def components(**) = nil
  end

  module Core
    module Environment
      module Identity
        def self.id = "d1c8"
      end

      module Socket
        def self.hostname = "host"
      end
    end

    module Configuration
      module AgentSettingsResolver
        def self.call(settings, **) = settings.agent
      end
    end
  end

  module Tracing
    # A trace as it is handed to a writer.
    Segment = Struct.new(:spans) do
      def empty? = spans.empty?
    end

    module Pipeline
      @processors = []

      class << self
        attr_writer :processors

        def process!(segments) = segments.filter_map { |segment| @processors.reduce(segment) { |s, p| p.call(s) } }
      end
    end

    module Contrib
      module Component
        def self.register(*) = nil
      end
    end

    module Runtime
      module Metrics
        def self.associate_trace(segment) = associated << segment
        def self.associated = @associated ||= []
      end
    end

    module Transport
      module TraceFormatter
        def self.format!(segment) = segment.spans.is_a?(Array) ? segment : raise("no spans")
      end

      module HTTP
        module Statistics
          def stats = @stats ||= Hash.new(0)

          def update_stats_from_response!(response)
            outcome = %i[ok? client_error? server_error? internal_error?].find { |name| response.public_send(name) }
            stats[outcome] += 1 if outcome
          end

          def update_stats_from_exception!(_) = stats[:internal_error?] += 1
        end
      end
    end

    module Writer
      class Events
        class AfterSend
          attr_reader :subscriptions

          def initialize = @subscriptions = []
          def subscribe(&block) = subscriptions << block
          def publish(*arguments) = subscriptions.each { |block| block.call(*arguments) }
        end

        attr_reader :after_send
      end
    end
  end
end

# A trace of so many spans.
def segment(spans = 1, trace_id: 1, **variables)
  Datadog::Tracing::Segment.new(
    Array.new(spans) { |index| Support::TracerSpan.build(id: index + 1, trace_id: trace_id, **variables) }
  )
end
