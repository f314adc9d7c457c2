# frozen_string_literal: true

# Sampling rules, priorities, the rate limiter, and spans that are kept of a trace that isn't.

configure do |c|
  c.tracing.sampling.rate_limit = 2
  c.tracing.sampling.rules = JSON.generate([{ name: "never", sample_rate: 0 }, { sample_rate: 1.0 }])
  c.tracing.sampling.span_rules = JSON.generate([{ name: "kept", sample_rate: 1.0 }])
end

trace("never") { trace("kept") }
4.times { |index| trace("limited", resource: index.to_s) }
trace("rejected") { |_, operation| operation.reject! }
trace("chosen") { |_, operation| operation.keep! }
