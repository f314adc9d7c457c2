# frozen_string_literal: true

require_relative "../support/forking"

# A child that is born while its parent's sender is.
RSpec.describe "A process that forks right after the first export" do
  include_context "with a script that forks"

  it "has its child send, however little later" do
    30.times do |i|
      output, errors, = run_ruby(<<~RUBY, agent.url, i * 0.0002)
        #{script}
        export(1)
        sleep(Float(ARGV[1]))
        reader, writer = IO.pipe
        pid = fork do
          export(2)
          writer << EXPORTER.flush(timeout: 5)
          exit!(0)
        end
        writer.close
        print reader.read
        Process.wait(pid)
        exit!(0)
      RUBY
      expect([output, errors]).to eq(["true", ""])
    end
  end
end
