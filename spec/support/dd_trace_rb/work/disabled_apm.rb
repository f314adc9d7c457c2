# frozen_string_literal: true

# Other products trace without APM: the agent has to be told not to count these traces.

Child.configure { |c| c.apm.tracing.enabled = false if c.respond_to?(:apm) }

Child.trace("standalone") { Child.trace("inner") }
