# frozen_string_literal: true

$LOAD_PATH.unshift File.expand_path("../lib", __dir__)

require "datadog/native_export"
require "datadog/native_export/testing"
require_relative "support/agent"
require_relative "support/delivery"
require_relative "support/processes"
require_relative "support/spans"
require_relative "support/tracer_span"

RSpec.configure do |config|
  config.disable_monkey_patching!
  config.order = :random
  config.expect_with(:rspec) { |expectations| expectations.max_formatted_output_length = 2_000 }
  config.include Support::Delivery
  config.include Support::Processes
  config.include Support::Spans
  config.after { Support::Delivery.end_exporters }
end
