# frozen_string_literal: true

require_relative "../lib/datadog/native_export/testing"

# Installs a precompiled gem on a machine that has Ruby and nothing to compile with, and exports a span there to an
# agent here.
class NativeVerification
  SCRIPT = <<~RUBY
    require "datadog/native_export"
    abort Datadog::NativeExport.load_error.message unless Datadog::NativeExport.available?

    exporter = Datadog::NativeExport::Exporter.new
    span = Datadog::NativeExport::Span.new(name: RUBY_VERSION, trace_id: 1, span_id: 2, start: Time.now, duration: 3)
    exporter.export(Datadog::NativeExport::TraceChunks.new.begin_chunk << span)
    exporter.shutdown(timeout: 5) or abort "the agent didn't take the span"
    puts RUBY_DESCRIPTION, $LOADED_FEATURES.grep(/datadog_native_export\\./)
  RUBY
  private_constant :SCRIPT

  # @param chroot [DebianChroot] with Ruby
  def initialize(chroot)
    @chroot = chroot
  end

  # @param gem [String] its path
  # @raise [RuntimeError] when anything fails
  def call(gem)
    @chroot.run("sh", "-c", "! command -v cargo rustc gcc cc make")
    path = "/tmp/#{File.basename(gem)}"
    @chroot.write(path, File.binread(gem))
    seconds = time { @chroot.run("ruby", "-S", "gem", "install", "--local", "--no-document", path) }
    puts "installed in #{seconds.round(1)} s"
    export
  end

  private

  def export
    Datadog::NativeExport::Testing::Agent.start do |agent|
      @chroot.run("ruby", "-e", SCRIPT, env: { "DD_TRACE_AGENT_URL" => agent.url })
      spans = agent.spans.map { |span| span["name"] }
      raise "expected one span to arrive, got #{spans}" unless spans.size == 1

      puts "exported from Ruby #{spans.first}"
    end
  end

  def time
    start = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    yield
    Process.clock_gettime(Process::CLOCK_MONOTONIC) - start
  end
end
