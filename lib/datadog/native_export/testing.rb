# frozen_string_literal: true

module Datadog
  module NativeExport
    # For an application's tests: shows what was exported. Loads neither the native extension nor anything
    # else of this gem, and nothing else of this gem loads it.
    #
    # @example Assert on what arrived, not on what was built
    #   require "datadog/native_export/testing"
    #
    #   Datadog::NativeExport::Testing::Agent.start do |agent|
    #     exporter = Datadog::NativeExport::Exporter.new(agent_url: agent.url)
    #     exporter.export(chunks)
    #     expect(agent.wait_for(spans: 1).first).to include("name" => "rack.request", "error" => 0)
    #   end
    module Testing
      # Raised by {Agent#wait_for} when fewer spans than expected arrived in time.
      class Timeout < StandardError; end
    end
  end
end

require_relative "testing/agent"
