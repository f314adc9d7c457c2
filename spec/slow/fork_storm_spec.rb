# frozen_string_literal: true

# A small one; `rake soak` runs it at length.
RSpec.describe "bench/fork_storm.rb" do
  script = File.expand_path("../../bench/fork_storm.rb", __dir__)

  %w[healthy hung dead].each do |state|
    it "finds every span once and no child hanging, with a #{state} agent" do
      output, status = Open3.capture2e({ "FORKS" => "90", "AGENTS" => state, "BIRTHS" => "0", "COMPARE" => "0" },
                                       RbConfig.ruby, script)
      expect(status).to be_success, output
    end
  end

  it "finds that children of processes that begin to export deliver, in every way" do
    output, status = Open3.capture2e({ "AGENTS" => "", "BIRTHS" => "40", "COMPARE" => "0" }, RbConfig.ruby, script)
    expect(status).to be_success, output
    expect(output.scan(/^ok +40 births/).size).to eq(8)
  end
end
