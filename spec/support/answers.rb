# frozen_string_literal: true

module Support
  # Generated answers: every way to write a valid head, and everything that may follow or precede it.
  class Answers
    # `steps` are for {FaultAgent}. `outcome` is what has to become of a payload that is answered so: `:sent`, a reason
    # of losses, `:again` when the request has to be made again, or `:unknown` when it may be.
    Answer = Struct.new(:step, :outcome)

    OUTCOMES = { 200 => :sent, 202 => :sent, 204 => :sent, 299 => :sent, 300 => :refused, 307 => :refused,
                 400 => :refused, 404 => :refused, 413 => :too_large, 418 => :refused, 999 => :refused,
                 408 => :again, 429 => :again, 500 => :again, 503 => :again }.freeze
    HEADERS = ["Content-Type: application/json", "Datadog-Agent-State: %s", "X-Empty:", "X-Long: %s",
               "Server: \xFF\xFE", "Set-Cookie: a=%s", "Retry-After: soon", "Connection: close",
               "Connection: keep-alive"].freeze
    BODIES = ["", "{}", '{"rate_by_service":{"service:,env:":0.5}}', '{"rate_by_service":{"a":"b","c":1e400,"d":-1}}',
              '{"rate_by_service":[', "\0" * 100, "\xFF" * 100, "[" * 10_000, "x" * 2_000_000].freeze
    # Heads of which a client can't know what they say. HTTP/1.0 has no chunks.
    BROKEN = ["", "\r\n", "HTTP", "HTTP/1.1 ", "HTTP/1.1 20\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n",
              "HTTP/9.9 200 OK\r\n\r\n", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
              "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
              "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}", "\x16\x03\x01\x02\x00\x01",
              "HTTP/1.1 200 OK\r\n#{"X: y\r\n" * 500}\r\n", "HTTP/1.1 200 OK\r\nX: #{"x" * 1_000_000}\r\n\r\n",
              "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"].freeze

    def initialize(seed)
      @random = Random.new(seed)
    end

    def answer
      case @random.rand(10)
      when 0 then Answer.new({ raw: pick(BROKEN).b }, :unknown)
      when 1 then Answer.new({ raw: @random.bytes(@random.rand(200)) }, :unknown)
      else headed
      end
    end

    private

    def pick(values) = values[@random.rand(values.size)]

    def headed
      # Of those that have to be sent again, which takes a pause, few.
      status = pick(@random.rand < 0.9 ? OUTCOMES.keys.reject { |key| OUTCOMES[key] == :again } : OUTCOMES.keys)
      before = pick(["", "", "HTTP/1.1 100 Continue\r\n\r\n"])
      content = body
      version = content.start_with?("Transfer") ? "1.1" : pick(["1.0", "1.1"])
      raw = [before, "HTTP/#{version} #{status}", reason, "\r\n", headers, content].map(&:b).join
      Answer.new({ raw:, in_pieces: @random.rand < 0.2, answered: true }, OUTCOMES.fetch(status))
    end

    def reason = pick(["", " ", " OK", " Not at all (really)", " \xC3\xA9"])

    def headers
      Array.new(@random.rand(5)) { "#{format(pick(HEADERS).b, @random.rand(1 << 30).to_s * 10)}\r\n" }.join
    end

    # With its framing, which may promise more than there is, less, or make no sense.
    def body
      text = pick(BODIES).b
      case @random.rand(5)
      when 0 then "\r\n#{text}"
      when 1 then "Transfer-Encoding: chunked\r\n\r\n#{text.bytesize.to_s(16)}\r\n#{text}\r\n0\r\n\r\n"
      when 2 then "Transfer-Encoding: chunked\r\n\r\n#{pick(["zz\r\n", "ffffffffffffffffff\r\n", "5\r\nab", "-1\r\n"])}"
      else "Content-Length: #{[text.bytesize + pick([0, 0, 0, 1, 10_000, -1]), 0].max}\r\n\r\n#{text}"
      end
    end
  end
end
