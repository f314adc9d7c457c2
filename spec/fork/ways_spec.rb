# frozen_string_literal: true

require_relative "../support/forking"

# Every kind of fork: each process sends what it exported itself.
RSpec.describe "A process that forks" do
  include_context "with a script that forks"

  {
    "with fork and a block" => "reap(fork { export(2) })",
    "with fork and no block" => <<~RUBY,
      unless (pid = fork)
        export(2)
        exit
      end
      reap(pid)
    RUBY
    "and whose child leaves by exit! after a flush" => <<~RUBY,
      reap(fork do
        export(2)
        EXPORTER.flush(timeout: 30)
        exit!(0)
      end)
    RUBY
    'with IO.popen("-")' => <<~RUBY,
      unless (io = IO.popen("-"))
        export(2)
        exit
      end
      reap(io.pid)
    RUBY
    "on a thread that isn't the main one, which waits for that" => "Thread.new { reap(fork { export(2) }) }.join",
    "on a thread that isn't the main one, without a block" => <<~RUBY,
      Thread.new do
        unless (pid = fork)
          export(2)
          exit
        end
        reap(pid)
      end.join
    RUBY
    "in a signal handler" => <<~RUBY,
      pid = nil
      trap("USR1") { pid = fork { export(2) } }
      Process.kill("USR1", Process.pid)
      sleep 0.001 until pid
      reap(pid)
    RUBY
    # On Ruby 3.1, with or without this gem, a child that a Ractor has forked can't leave by `exit`.
    "in a Ractor" => <<~RUBY
      $VERBOSE = nil
      reap(Ractor.new do
        fork do
          export(2)
          EXPORTER.flush(timeout: 30)
          exit!(0)
        end
      end.take)
    RUBY
  }.each do |way, fork|
    it "#{way} sends its own spans, once, and the child the child's" do
      run_in_peace(<<~RUBY)
        export(1)
        #{fork}
        export(3)
        EXPORTER.flush(timeout: 30)
        exit!(0)
      RUBY

      expect(deliveries).to eq([[2], [1, 3]])
      expect_own_spans_from_each
    end
  end

  it "has its grandchildren send their own, too" do
    run_in_peace(<<~RUBY)
      export(1)
      reap(fork do
        export(2)
        reap(fork { export(3) })
      end)
    RUBY

    expect(deliveries).to eq([[3], [2], [1]])
    expect(agent.spans.map { |span| span["meta"]["pid"] }.uniq.size).to eq(3)
  end

  it "to become a daemon sends what that exports" do
    run_in_peace(<<~RUBY)
      export(1)
      EXPORTER.flush(timeout: 30)
      Process.daemon(true, true)
      export(2)
    RUBY

    expect(deliveries).to eq([[1], [2]])
    expect_own_spans_from_each
  end
end
