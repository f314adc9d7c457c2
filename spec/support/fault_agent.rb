# frozen_string_literal: true

require "datadog/native_export/testing/http"
require "msgpack"
require "socket"

module Support
  # An agent that misbehaves as it is told to, request by request, and counts what it got all the same.
  #
  # A step says what becomes of one request with traces, as a Hash:
  #
  # - `status:`, `headers:`, `body:` of the answer, by default 200 and no rates
  # - `reset:` the connection: on the `:request`, unread; in the middle of its `:body`; or instead of the
  #   `:answer`, so that the client can't know that its spans have arrived
  # - `raw:` bytes to be written for an answer, after which the connection is closed; `in_pieces:` one after the
  #   other; `answered:` so that the client learns the status
  # - `early:` the answer comes before the body is read
  # - `hang:` reads and never answers; with `raw:`, after that much of an answer
  # - `endless:` the body of the answer goes on until the client closes the connection. Where `status:` is that of a
  #   provisional answer (100 to 199), which has no body, one answer follows the other.
  # - `wait:` a Queue, popped between taking the spans and answering
  # - `slow:` bytes to read at a time, a hundred times a second
  #
  # or as a Proc that is called with the {Attempt}, once it has been read, and returns such a Hash or nil.
  class FaultAgent
    HTTP = Datadog::NativeExport::Testing::HTTP
    # A request with traces. `headers`, `body` and `traces` are there once they have been read.
    Attempt = Struct.new(:at, :headers, :body, :traces, :delivered, keyword_init: true) do
      def span_ids = traces.flatten(1).map { |span| span["span_id"] }
    end

    INFO = '{"version":"7.70.0","endpoints":["/v0.4/traces"],"span_events":true}'
    HALF_AN_ANSWER = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"rate_by"
    # Below those that connections get: what connects to a port of its own while nobody listens there may
    # reach itself.
    PORTS = (20_000..30_000)

    def self.start(**options)
      agent = new(**options)
      yield agent
    ensure
      agent&.stop
    end

    # The step for all requests that {#script} does not tell of.
    attr_writer :usual
    # The step for `/info`: only `hang:`, `endless:`, `reset: :request` and `status:` mean something there.
    attr_writer :info
    # Bodies beyond so many bytes are answered with 413, whatever the steps say.
    attr_writer :max_body_bytes

    # @param path [String, nil] of a Unix socket, instead of a port
    def initialize(path: nil)
      @path = path
      @lock = Mutex.new
      @script = []
      @usual = @info = {}
      @attempts = []
      @received = Hash.new(0)
      @unanswered = Hash.new(0)
      @problems = []
      @endless_bytes = []
      @connections = []
      start
    end

    def url
      @path ? "unix://#{@path}" : "http://127.0.0.1:#{@port}"
    end

    # Listens, on the same port or path as before.
    def start
      @listener = @path ? UNIXServer.new(@path) : listen
      @acceptor = Thread.new { accept(@listener) }
      self
    end

    # Goes away, with all connections. Idempotent.
    def stop
      @listener.close
      @acceptor.join
      File.unlink(@path) if @path && File.exist?(@path)
      disconnect
    end

    # Closes all connections and goes on to listen.
    def disconnect
      threads = @lock.synchronize { @connections.slice!(0..) }
      # Each closes its connection.
      threads.each(&:kill).each(&:join)
      self
    end

    # Adds steps for the requests that come next.
    def script(*steps)
      @lock.synchronize { @script.concat(steps) }
      self
    end

    # Requests with traces, unread ones included.
    def attempts = @lock.synchronize { @attempts.dup }

    # How often each span has been delivered, by its id.
    def received = @lock.synchronize { @received.dup }

    # Ids of spans that were delivered in a request whose answer did not reach the client.
    def unanswered = @lock.synchronize { @unanswered.keys }

    # How much could be written of each answer without end, before the client went away.
    def endless_bytes = @lock.synchronize { @endless_bytes.dup }

    # What was wrong with requests.
    def problems = @lock.synchronize { @problems.dup }

    private

    def listen
      return TCPServer.new("127.0.0.1", @port) if @port

      port = rand(PORTS)
      TCPServer.new("127.0.0.1", port).tap { @port = port }
    rescue Errno::EADDRINUSE
      @port ? raise : retry
    end

    def accept(listener)
      loop do
        socket = listener.accept
        @lock.synchronize { @connections << Thread.new { converse(socket) } }
      end
    rescue IOError, Errno::EBADF
      # Stopped.
    end

    def converse(socket)
      # Unread, so that a reset can come before anything has been read.
      while (first = socket.recv(1, Socket::MSG_PEEK)) && !first.empty?
        break unless first == "G" ? answer_info(socket) : answer_traces(socket)
      end
    rescue IOError, SystemCallError
      # The client went away.
    rescue StandardError => e
      report(e.full_message(highlight: false))
    ensure
      socket.close
    end

    def answer_info(socket)
      return reset(socket) if @info[:reset]

      HTTP.read(socket)
      return wait_for_end(socket) if @info[:hang]
      return write_endlessly(socket, 200) if @info[:endless]

      HTTP.write(socket, @info.fetch(:status, 200), {}, INFO)
    end

    # Whether the connection can be used further.
    def answer_traces(socket)
      attempt = Attempt.new(at: Process.clock_gettime(Process::CLOCK_MONOTONIC))
      step = @lock.synchronize do
        @attempts << attempt
        @script.shift || @usual
      end
      early, late = step.is_a?(Proc) ? [{}, step] : [step, ->(_) { step }]
      return reset(socket) if early[:reset] == :request

      head = HTTP.read_head(socket)
      attempt.headers = head.headers
      write_answer(socket, early) if early[:early]
      attempt.body = read_body(socket, head, early) or return reset(socket)
      decode(attempt)
      early[:early] || answer(socket, attempt, late.call(attempt) || {})
    end

    def answer(socket, attempt, step)
      step = { status: 413 } if @max_body_bytes && attempt.body.bytesize > @max_body_bytes
      deliver(attempt) if takes?(step)
      step[:wait]&.pop
      return reset(socket) if step[:reset]

      write_raw(socket, attempt, step) if step[:raw]
      return wait_for_end(socket) if step[:hang]
      return if step[:raw]
      return write_endlessly(socket, step.fetch(:status, 200), attempt) if step[:endless]

      gone = gone?(socket)
      write_answer(socket, step)
      # What is still there after the answer was written has got it.
      answered(attempt) if attempt.delivered && !gone
      true
    end

    def takes?(step)
      return step[:raw].match?(%r{^HTTP/1\.[01] 2\d\d\b}) if step[:raw]

      !step[:hang] && step.fetch(:status, 200).between?(200, 299)
    end

    def deliver(attempt)
      @lock.synchronize do
        attempt.delivered = true
        attempt.span_ids.each do |id|
          @received[id] += 1
          @unanswered[id] += 1
        end
      end
    end

    def answered(attempt)
      @lock.synchronize do
        attempt.span_ids.each { |id| @unanswered.delete(id) if (@unanswered[id] -= 1).zero? }
      end
    end

    def decode(attempt)
      attempt.traces = MessagePack.unpack(attempt.body)
      count = attempt.headers["x-datadog-trace-count"]
      report("#{attempt.traces.size} chunks were announced as #{count.inspect}") if count != attempt.traces.size.to_s
      report("a chunk has no spans") if attempt.traces.any?(&:empty?)
    rescue MessagePack::UnpackError, EOFError => e
      # More or less than one value: Content-Length was wrong, or the body was cut in the wrong place.
      attempt.traces = []
      report("a body of #{attempt.body.bytesize} bytes is no MessagePack: #{e.class} #{e.message}")
    end

    def report(problem) = @lock.synchronize { @problems << problem }

    # nil when the step is to stop in the middle.
    def read_body(socket, head, step)
      return HTTP.read_body(socket, head) unless step[:slow] || step[:reset] == :body

      size = Integer(head.headers.fetch("content-length"))
      return read_slowly(socket, size, step[:slow]) if step[:slow]

      socket.read(size / 2)
      nil
    end

    def read_slowly(socket, size, at_once)
      # The kernel would read for us.
      socket.setsockopt(:SOCKET, :RCVBUF, at_once)
      body = "".b
      until body.bytesize == size
        body << HTTP.read_exactly(socket, [at_once, size - body.bytesize].min)
        sleep 0.01
      end
      body
    end

    def write_raw(socket, attempt, step)
      # Up to the middle of a status line in pieces, and of a body that follows.
      pieces = step[:in_pieces] ? step[:raw].scan(/.{1,7}/mn).first(30) : []
      pieces.each do |piece|
        socket.write(piece)
        sleep 0.001
      end
      # Before the client can have seen it.
      answered(attempt) if attempt.delivered && step[:answered]
      socket.write(step[:raw].byteslice(pieces.sum(&:bytesize)..))
    rescue SystemCallError
      # The client has seen enough of it, which is what it may do.
      raise unless step[:answered]
    end

    def write_answer(socket, step)
      HTTP.write(socket, step.fetch(:status, 200), step[:headers] || {}, step[:body] || "{}")
    end

    def write_endlessly(socket, status, attempt = nil)
      head = "HTTP/1.1 #{status} X\r\n\r\n"
      socket.write(head)
      written = 0
      more = status < 200 ? head * 1_000 : "y" * 65_536
      loop { written += socket.write(more) }
    rescue SystemCallError
      # It has seen the status.
      answered(attempt) if attempt&.delivered
      @lock.synchronize { @endless_bytes << written }
      false
    end

    def reset(socket)
      socket.setsockopt(Socket::Option.linger(true, 0))
      false
    end

    def wait_for_end(socket)
      socket.read(1)
      false
    end

    def gone?(socket)
      socket.recv_nonblock(1, Socket::MSG_PEEK, exception: false) != :wait_readable
    end
  end
end
