# frozen_string_literal: true

# Sampling rules, priorities, the rate limiter, and spans that are kept of a trace that isn't.

Child.configure do |c|
  c.tracing.sampling.rate_limit = 2
  c.tracing.sampling.rules = JSON.generate([{ name: "never", sample_rate: 0 }, { sample_rate: 1.0 }])
  c.tracing.sampling.span_rules = JSON.generate([{ name: "kept", sample_rate: 1.0 }])
end

Child.trace("never") { Child.trace("kept") }
4.times { |index| Child.trace("limited", resource: index.to_s) }
Child.trace("rejected") { |_, operation| operation.reject! }
Child.trace("chosen") { |_, operation| operation.keep! }
