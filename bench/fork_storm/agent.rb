# frozen_string_literal: true

require "msgpack"
require "socket"
require_relative "../support/agent"

class ForkStorm
  # The agent of the storm, in a process of its own: on a Unix socket, where the kernel tells who sent, and on a
  # port, where it closes the connection after each answer, so that one is being made all the time.
  class Agent
    # As seen by the process that started it.
    class Handle
      # @param state [String] `healthy`, `hung`, or `dead`, which nobody is then
      def initialize(state, directory)
        @path = File.join(directory, "agent.socket")
        if state == "dead"
          @port = TCPServer.open("127.0.0.1", 0) { |server| server.addr[1] }
        else
          @io = IO.popen([RbConfig.ruby, MAIN, "agent", state, @path], "r+b")
          @port = Integer(@io.gets)
        end
      end

      def urls = ["unix://#{@path}", "http://#{ENV.fetch("AGENT_HOST", "127.0.0.1")}:#{@port}"]

      # {Tally#result}
      def result
        @io.puts
        Marshal.load(@io) # rubocop:disable Security/MarshalLoad
      end
    end

    # How often each span came. The trace's id tells whose it is, and the span's which.
    class Tally
      def initialize
        @lock = Mutex.new
        @counts = Hash.new { |counts, origin| counts[origin] = "".b }
        @foreign = 0
      end

      # @param sender [Integer, nil] the process that sent the spans, if it is known
      def add(sender, spans)
        @lock.synchronize do
          spans.each do |span|
            count(span["trace_id"], span["span_id"])
            @foreign += 1 if sender && span["metrics"]["pid"] != sender
          end
        end
      end

      # Per origin how many different spans came, the highest number among them and how many came again; and
      # how many were sent by another process than the one that made them.
      def result
        @lock.synchronize do
          counts = @counts.transform_values do |all|
            different = all.each_byte.count(&:positive?)
            [different, all.size, all.each_byte.sum - different]
          end
          [counts, @foreign]
        end
      end

      private

      def count(origin, number)
        counts = @counts[origin]
        counts << ("\0" * (number - counts.size)) if counts.size < number
        counts.setbyte(number - 1, counts.getbyte(number - 1) + 1)
      end
    end

    def initialize(state, path)
      @hung = state == "hung"
      @unix = UNIXServer.new(path)
      @tcp = TCPServer.new("127.0.0.1", 0)
      [@unix, @tcp].each { |listener| listener.listen(1024) }
      @tally = Tally.new
    end

    # Until the input ends; answers each line with what came so far.
    def run
      $stdout.sync = true
      Thread.abort_on_exception = true
      puts @tcp.addr[1]
      [@unix, @tcp].each do |listener|
        Datadog::NativeExport::Testing::Server.new(listener) { |*request| answer(*request) }
      end
      Marshal.dump(@tally.result, $stdout) while $stdin.gets
    end

    private

    def answer(head, body, socket)
      # Until the client goes away.
      socket.read if @hung
      unix = socket.is_a?(UNIXSocket)
      sender = socket.getsockopt(:SOCKET, :PEERCRED).data.unpack1("i") if unix
      @tally.add(sender, MessagePack.unpack(body).flatten(1)) unless body.empty?
      status, headers, text = ::Agent.answer(head)
      [status, unix ? headers : { "Connection" => "close" }, text]
    end
  end
end
