# frozen_string_literal: true

require_relative "processes"

module Support
  # A program that runs beside the specs, with all processes that it starts. What they write is the log,
  # and its end tells that the last of them has ended, whoever became its parent.
  class Server
    include Processes

    # Yields the running server and kills what is left of it afterwards.
    def self.run(*command, **options)
      server = new(*command, **options)
      yield server
    ensure
      server&.kill
    end

    attr_reader :pid

    # @param command [Array<String>] as for Process.spawn, which takes `options`
    def initialize(*command, env: {}, **options)
      reader, writer = IO.pipe
      @pid = spawn(env, *command, **options, %i[out err] => writer, in: File::NULL, pgroup: true)
      @ending = Process.detach(@pid)
      writer.close
      reader.set_encoding(Encoding::UTF_8)
      @log = +""
      @reading = Thread.new { read(reader) }
    end

    # Its end may be in the middle of a character.
    def log = @log.scrub

    def signal(name, pid = @pid)
      Process.kill(name, pid)
    end

    # Waits for a line of the log.
    def wait_for(pattern)
      tell_log do
        wait_until(limit: 60) do
          ended = ended?
          log[pattern] || (ended && raise("ended before #{pattern.inspect}"))
        end
      end
    end

    # Waits until its last process has ended; returns the status of the first.
    def wait
      tell_log { @reading.join(60) || raise("still runs") }
      @ending.value
    end

    def kill
      Process.kill("KILL", -@pid) unless ended?
      wait
    end

    private

    def ended? = !@reading.alive?

    def read(reader)
      loop { @log << reader.readpartial(4_096) }
    rescue EOFError
      reader.close
    end

    def tell_log
      yield
    rescue RuntimeError => e
      raise "#{e.message}; its log:\n#{log}"
    end
  end
end
