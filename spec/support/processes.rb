# frozen_string_literal: true

require "open3"
require "rbconfig"
require "socket"
require "timeout"

module Support
  # Ruby processes, ports and waiting.
  module Processes
    LIB = File.expand_path("../../lib", __dir__)

    # Runs a script in a fresh Ruby with this gem loaded. Returns its output, its error output and
    # its status.
    def run_ruby(script, *arguments)
      capture(RbConfig.ruby, "-I", LIB, "-r", "datadog/native_export", "-e", "$stdout.sync = true\n#{script}",
              *arguments.map(&:to_s))
    end

    # Open3.capture3, but a command that takes longer than `limit` seconds is killed and fails the example.
    def capture(*command, limit: 120)
      Open3.popen3(*command, pgroup: true) do |stdin, stdout, stderr, waiter|
        stdin.close
        outputs = [stdout, stderr].map { |stream| Thread.new { stream.read } }
        unless outputs.push(waiter).all? { |thread| thread.join(limit) }
          Process.kill(:KILL, -waiter.pid)
          raise "still running after #{limit} s; standard error: #{outputs[1].value}"
        end
        outputs.map(&:value)
      end
    end

    # Runs the block in a forked child and returns what it returned.
    def in_child
      reader, writer = IO.pipe(binmode: true)
      pid = fork do
        reader.close
        writer.write(Marshal.dump(yield))
        writer.close
        # The parent's at_exit handlers, RSpec's among them, are not the child's business.
        exit!(0)
      end
      writer.close
      result = Timeout.timeout(30) { reader.read }
      Process.wait(pid)
      Marshal.load(result)
    ensure
      reader&.close
    end

    # A port on which nobody listens.
    def free_port
      TCPServer.open("127.0.0.1", 0) { |server| server.addr[1] }
    end

    # A server that takes connections and never answers.
    def hung_agent
      server = TCPServer.new("127.0.0.1", 0)
      yield "http://127.0.0.1:#{server.addr[1]}"
    ensure
      server&.close
    end

    def wait_until(limit: 10)
      deadline = now + limit
      until (result = yield)
        raise "not within #{limit} s" if now > deadline

        sleep 0.01
      end
      result
    end

    def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

    # Seconds that the block takes.
    def elapsed
      started = now
      yield
      now - started
    end
  end
end
