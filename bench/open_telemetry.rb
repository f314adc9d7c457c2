# frozen_string_literal: true

# What it costs to export spans of OpenTelemetry's SDK, from `export` to the receiver's answer, against the SDK's own
# exporter: CPU of the whole process, CPU of the thread that exports, which holds the GVL meanwhile, and Ruby objects.
# Prints ratios, how many times as much the SDK's exporter takes. Needs the SDK and opentelemetry-exporter-otlp, from
# the checkout of opentelemetry-ruby that OTEL_RUBY names or as gems.
#
#   OTEL_RUBY=/path/to/opentelemetry-ruby ruby bench/open_telemetry.rb

require_relative "support/measuring"
require_relative "support/otel_receiver"
require_relative "support/otel_workload"

# Each arm is an exporter, and what it returns is the cost of a span in microseconds or objects.
class OpenTelemetryExport
  SPANS = 1_000
  COSTS = %i[cpu thread objects].freeze

  def initialize(receiver)
    require "datadog/native_export"
    @receiver = receiver
  end

  # Those that are compared: the SDK's as it is by default and without compression, and ours to both receivers.
  def arms
    {
      sdk_gzip: -> { cost(sdk("gzip")) }, sdk_plain: -> { cost(sdk("none")) },
      otlp: -> { cost(native(otlp_endpoint: @receiver.url)) }, agent: -> { cost(native(agent_url: @receiver.base_url)) }
    }
  end

  private

  def sdk(compression)
    @sdk ||= OpenTelemetry::Exporter::OTLP::Exporter.new(endpoint: @receiver.url, compression:)
    ->(spans) { raise "failed" unless @sdk.export(spans).zero? }
  end

  def native(**options)
    @native ||= Datadog::NativeExport::OpenTelemetryExporter.new(flush_interval: 3_600, **options)
    lambda do |spans|
      @native.export(spans)
      raise "failed" unless @native.force_flush(timeout: 30).zero?
    end
  end

  def cost(export)
    spans = OTelWorkload.spans(SPANS)
    cpu = thread = objects = nil
    Measuring.undisturbed do
      cpu = Measuring.time(Process::CLOCK_PROCESS_CPUTIME_ID) do
        thread = Measuring.thread_time { objects = Measuring.objects { export.call(spans) } }
      end
    end
    @receiver.check(SPANS)
    [cpu, thread, objects].map { |cost| cost.fdiv(SPANS) }
  end
end

OTelReceiver.start do |receiver|
  costs = Measuring.take_turns(OpenTelemetryExport.new(receiver).arms).transform_values do |rounds|
    OpenTelemetryExport::COSTS.zip(rounds.transpose.map { |figures| Statistics.median(figures) }).to_h
  end
  costs.each do |arm, cost|
    line = "%<arm>10s: %<cpu>6.2f us of CPU, %<thread>6.2f us of the thread, %<objects>6.2f objects a span"
    puts format(line, arm:, **cost)
  end
  %i[sdk_gzip sdk_plain].product(%i[otlp agent]).each do |theirs, ours|
    ratios = costs[theirs].to_h { |name, cost| [name, cost / costs[ours][name]] }
    line = "%<theirs>10s against %<ours>s: CPU %<cpu>.1f, thread %<thread>.1f, objects %<objects>.0f"
    puts format(line, theirs:, ours:, **ratios)
  end
end
