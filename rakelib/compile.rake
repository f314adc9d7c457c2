# frozen_string_literal: true

require "rb_sys/extensiontask"

# Cargo decides what is out of date, so `rake compile` always asks it.
RbSys::ExtensionTask.new("datadog_native_export") do |ext|
  ext.lib_dir = "lib/datadog_native_export"
end
