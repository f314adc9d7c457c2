# frozen_string_literal: true

# Milliseconds to load the extension itself, after all that the gem's Ruby requires.

require_relative "../support/measuring"
require "datadog/native_export/version"
require "datadog/native_export/errors"

time = Measuring.time(Process::CLOCK_MONOTONIC) { require "datadog_native_export/datadog_native_export" }
Measuring.report(extension: time / 1_000, all: (time + Measuring.time(Process::CLOCK_MONOTONIC) do
  require "datadog/native_export"
end) / 1_000)
