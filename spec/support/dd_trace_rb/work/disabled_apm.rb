# frozen_string_literal: true

# Other products trace without APM: the agent has to be told not to count these traces.

Child.configure do |c|
  if c.respond_to?(:apm)
    c.apm.tracing.enabled = false
  elsif c.appsec.respond_to?(:standalone)
    c.appsec.standalone.enabled = true
  end
end

Child.trace("standalone") { Child.trace("inner") }
