# frozen_string_literal: true

# Loads dd-trace-rb once, and forks for each script, since loading takes longer than most of them. Reads requests from
# standard input, a line of JSON each, and answers with a line when the script has ended.

require "json"
require "logger"

# As in prelude.rb, which each script loads.
%w[DD_INSTRUMENTATION_TELEMETRY_ENABLED DD_REMOTE_CONFIGURATION_ENABLED DD_TRACE_STARTUP_LOGS].each do |name|
  ENV[name] = "false"
end

require "datadog"
require "datadog/native_export"
require "datadog/native_export/testing"

$stdout.sync = true

while (line = $stdin.gets)
  request = JSON.parse(line)
  pid = fork do
    $stdin.reopen(File::NULL)
    $stdout.reopen(request.fetch("output"), "w")
    $stderr.reopen(request.fetch("errors"), "w")
    ARGV.replace(request.fetch("arguments"))
    load File.join(__dir__, "prelude.rb")
    eval(request.fetch("script"), TOPLEVEL_BINDING, "-e") # rubocop:disable Security/Eval
  end
  _, status = Process.wait2(pid)
  puts JSON.generate(success: status.success? || false, shown: status.to_s)
end
