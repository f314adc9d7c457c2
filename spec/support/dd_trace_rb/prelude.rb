# frozen_string_literal: true

# Loaded in children that trace with dd-trace-rb. Arguments: how to export, the agent's URL, and a session
# of the test agent.

$stdout.sync = true
$PROGRAM_NAME = "child"
WAY, AGENT, TOKEN = ARGV.shift(3)
ENV["DD_TRACE_AGENT_URL"] = AGENT unless AGENT.empty?
SESSION = TOKEN.empty? ? {} : { test_session_token: TOKEN }
ENV["DD_INSTRUMENTATION_TELEMETRY_ENABLED"] = "false"
ENV["DD_REMOTE_CONFIGURATION_ENABLED"] = "false"
ENV["DD_TRACE_STARTUP_LOGS"] ||= "false"

require "json"
require "logger"
require "datadog"
require "datadog/native_export"

# Not on Object, where applications would find it.
module Child
  module_function

  # Exports traces in the way that this child was started for.
  def export_by(settings, way: WAY, refusable: false, **options)
    case way
    when "http"
      headers = { "X-Datadog-Test-Session-Token" => TOKEN }
      settings.tracing.writer_options = { transport_options: { headers: headers } }
    when "transport"
      transport = Datadog::NativeExport::Transport.new(**SESSION, **{ wait: 30 }, **options)
      settings.tracing.writer_options = { transport: transport }
    when "writer"
      settings.tracing.writer = Datadog::NativeExport::Writer.new(**SESSION, **options)
    when "enable"
      Datadog::NativeExport.enable!(**SESSION, **options) or refusable or raise "not enabled"
    end
  end

  def configure(port: nil, **options)
    export_by(Datadog.configuration, **options) if WAY == "enable"
    Datadog.configure do |c|
      c.service = "shop"
      c.env = "test"
      c.agent.port = port if port
      # Early versions log to standard output, which is the children's for reports.
      c.logger.instance = Datadog::Core::Logger.new($stderr)
      c.logger.level = Logger::WARN
      export_by(c, **options) unless WAY == "enable"
      yield c if block_given?
    end
  end

  def trace(name = "job", **options, &block) = Datadog::Tracing.trace(name, **options, &(block || proc {}))

  def writer = Datadog::Tracing.__send__(:tracer).writer

  # Sends all that was traced so far.
  def flush
    return writer.force_flush(timeout: 20) if writer.respond_to?(:force_flush)

    # The tracer's own writer sends what it holds when it stops.
    writer.stop
  end

  # Calls the block until it returns something true.
  def wait_until(limit: 20)
    deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + limit
    until (result = yield)
      raise "not within #{limit} s" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline

      sleep 0.01
    end
    result
  end
end
