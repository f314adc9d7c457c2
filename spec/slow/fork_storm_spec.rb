# frozen_string_literal: true

# A small one; `rake soak` runs it at length.
RSpec.describe "bench/fork_storm.rb" do
  %w[healthy hung dead].each do |state|
    it "finds every span once and no child hanging, with a #{state} agent" do
      output, status = Open3.capture2e({ "FORKS" => "90", "AGENTS" => state, "COMPARE" => "0" }, RbConfig.ruby,
                                       File.expand_path("../../bench/fork_storm.rb", __dir__))
      expect(status).to be_success, output
    end
  end
end
