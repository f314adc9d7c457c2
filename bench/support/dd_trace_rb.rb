# frozen_string_literal: true

# Loads dd-trace-rb from the checkout that DD_TRACE_RB names, or else the `datadog` gem.

if (checkout = ENV.fetch("DD_TRACE_RB", nil))
  # A checkout needs the gem libdatadog only for what isn't measured here; an empty module stands in for it.
  module Libdatadog
    VERSION = "0"
    def self.method_missing(*) = nil
    def self.respond_to_missing?(*) = true
  end
  $LOADED_FEATURES << "libdatadog.rb"
  $LOAD_PATH.unshift(File.join(checkout, "lib"))
end
%w[DD_INSTRUMENTATION_TELEMETRY_ENABLED DD_REMOTE_CONFIGURATION_ENABLED DD_TRACE_STARTUP_LOGS].each do |name|
  ENV[name] = "false"
end

require "datadog"
