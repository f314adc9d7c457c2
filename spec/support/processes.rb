# frozen_string_literal: true

require "open3"
require "rbconfig"
require "socket"
require "timeout"

module Support
  # Ruby processes, ports and waiting.
  module Processes
    LIB = File.expand_path("../../lib", __dir__)

    # Seconds after which a script hangs, or a child of it.
    SCRIPT_LIMIT = 120

    # Runs a script in a fresh Ruby with this gem loaded. Returns its output, its error output and
    # its status, when it and its children have ended.
    def run_ruby(script, *arguments, env: {})
      capture(env, RbConfig.ruby, "-I", LIB, "-r", "datadog/native_export", "-e", "$stdout.sync = true\n#{script}",
              *arguments.map(&:to_s))
    end

    # Open3.capture3, but a command that hangs, or a child of it, is killed and fails the example.
    def capture(*command)
      Open3.popen3(*command, pgroup: true) do |input, output, errors, process|
        input.close
        readers = [output, errors].map { |io| Thread.new { io.read } }
        deadline = now + SCRIPT_LIMIT
        unless readers.all? { |reader| reader.join([deadline - now, 0].max) }
          Process.kill(:KILL, -process.pid)
          raise "a script or a child of it hangs:\n#{command.join(" ")}"
        end
        [*readers.map(&:value), process.value]
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
    rescue Timeout::Error
      Process.kill(:KILL, pid)
      Process.wait(pid)
      raise
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
