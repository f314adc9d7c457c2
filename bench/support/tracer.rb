# frozen_string_literal: true

require_relative "dd_trace_rb"

# dd-trace-rb's own HTTP transport, which formats, encodes and sends as the tracer's worker does.
class Tracer
  # The workload's spans as the tracer's segments.
  def self.segments(traces)
    traces.map do |spans|
      own = spans.map do |span|
        keywords = span.to_keywords.except(:name, :span_id, :error, :start, :duration)
        start, duration = %i[@start_time @duration].map { |name| span.instance_variable_get(name) }
        fields = span.to_keywords
        Datadog::Tracing::Span.new(fields[:name], **keywords, id: fields[:span_id], status: fields[:error],
                                                              start_time: start, end_time: start + duration, duration:)
      end
      Datadog::Tracing::TraceSegment.new(own, id: own[0].trace_id, root_span_id: own[0].id, sampling_priority: 1)
    end
  end

  def initialize(port)
    Datadog.configure do |c|
      c.agent.host = "127.0.0.1"
      c.agent.port = port
      c.logger.level = Logger::WARN
      c.tracing.native_span_events = true
    end
    settings = Datadog::Core::Configuration::AgentSettingsResolver.call(Datadog.configuration, logger: Datadog.logger)
    @transport = Datadog::Tracing::Transport::HTTP.default(agent_settings: settings)
  end

  def send_traces(segments)
    responses = @transport.send_traces(segments)
    raise "the agent answered #{responses.inspect}" unless responses.all?(&:ok?)
  end
end
