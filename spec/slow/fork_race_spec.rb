# frozen_string_literal: true

require_relative "../support/forking"

# A child that is born while its parent's sender is. What the process initialises once, it has initialised by then:
# locks that the sender holds meanwhile would stay locked in the child. The standard library's backtraces and the C
# library's first look-up of a name have such locks.
RSpec.describe "A process that forks right after the first export" do
  include_context "with a script that forks"

  {
    "to an address" => ["127.0.0.1", {}], "to a name" => ["localhost", {}],
    "and takes backtraces" => ["localhost", { "RUST_BACKTRACE" => "1" }]
  }.each do |how, (host, env)|
    it "#{how} has its child send, however little later" do
      30.times { |i| expect(run_race(agent.url.sub("127.0.0.1", host), i * 0.0002, env)).to eq(["true", ""]) }
    end
  end

  def run_race(url, delay, env)
    output, errors, = run_ruby(<<~RUBY, url, delay, env:)
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
    [output, errors]
  end
end
