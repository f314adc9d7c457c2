# frozen_string_literal: true

module Datadog
  module NativeExport
    # A test agent for an application's tests, which shows the traces that arrived. It is independent of the rest
    # of this gem: it doesn't load the native extension, and the gem doesn't load it.
    #
    # @example Assert on the spans that arrived, not on those that were built
    #   require "datadog/native_export/testing"
    #
    #   Datadog::NativeExport::Testing::Agent.start do |agent|
    #     exporter = Datadog::NativeExport::Exporter.new(agent_url: agent.url)
    #     exporter.export(chunks)
    #     expect(agent.wait_for(spans: 1).first).to include("name" => "rack.request", "error" => 0)
    #   end
    module Testing
      # Raised by {Agent#wait_for} if fewer spans than expected arrive in time.
      class Timeout < StandardError; end
    end
  end
end

require_relative "testing/agent"
