# frozen_string_literal: true

# Other products trace without APM: the agent has to be told not to count these traces.

Child.configure do |c|
  c.respond_to?(:apm) ? c.apm.tracing.enabled = false : c.appsec.standalone.enabled = true
end

Child.trace("standalone") { Child.trace("inner") }
