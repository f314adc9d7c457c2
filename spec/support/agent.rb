# frozen_string_literal: true

# An agent of its own for each example.
RSpec.shared_context "with an agent" do
  around do |example|
    Datadog::NativeExport::Testing::Agent.start do |agent|
      @agent = agent
      example.run
    end
  end

  attr_reader :agent
end
