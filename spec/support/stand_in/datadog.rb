# frozen_string_literal: true

# What `require "datadog"` finds where dd-trace-rb isn't at hand, on the load path of samples that need it.

require "uri"
require_relative "../tracer_stand_in"

Datadog.configuration.agent.port = URI(ENV.fetch("DD_TRACE_AGENT_URL")).port

# Samples set whatever they like.
Datadog::Settings.class_eval do
  def respond_to_missing?(name, _ = false) = name.end_with?("=") || super
  def method_missing(name, *) = name.end_with?("=") ? nil : super
end
