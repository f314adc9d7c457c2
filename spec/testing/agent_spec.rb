# frozen_string_literal: true

require "datadog/native_export/testing"
require "net/http"
require "open3"

RSpec.describe Datadog::NativeExport::Testing::Agent do
  let(:agent) { described_class.start }
  let(:span) { { "name" => "rack.request", "trace_id" => (2**64) - 1, "meta" => { "k" => "é" } } }

  after { agent.stop }

  def connect(to = agent)
    Net::HTTP.start("127.0.0.1", URI(to.url).port) { |http| return yield http }
  end

  def put(traces, path: "/v0.4/traces", type: "application/msgpack", to: agent)
    body = traces.is_a?(String) ? traces : traces.to_msgpack
    connect(to) { |http| http.send_request("PUT", path, body, "Content-Type" => type) }
  end

  def raw(bytes)
    socket = TCPSocket.new("127.0.0.1", URI(agent.url).port)
    socket.write(bytes)
    socket.close_write
    socket.read
  ensure
    socket&.close
  end

  describe ".start" do
    it "returns a running agent" do
      expect(connect { |http| http.get("/info") }.code).to eq("200")
    end

    it "with a block, returns its value and stops afterwards" do
      stopped = described_class.start { |running| running }

      expect { put([[span]], to: stopped) }.to raise_error(Errno::ECONNREFUSED)
    end

    it "with a block, stops even if the block raises" do
      stopped = nil

      expect { described_class.start { |running| raise (stopped = running).url } }.to raise_error(/127.0.0.1/)
      expect { put([[span]], to: stopped) }.to raise_error(Errno::ECONNREFUSED)
    end

    it "listens on the port that it is given" do
      port = URI(agent.url).port
      agent.stop

      described_class.start(port:) { |second| expect(put([[span]], to: second).code).to eq("200") }
    end

    it "raises if the port is taken" do
      expect { described_class.start(port: URI(agent.url).port) }.to raise_error(Errno::EADDRINUSE)
    end
  end

  describe "GET /info" do
    def info(from)
      JSON.parse(connect(from) { |http| http.get("/info") }.body)
    end

    it "tells what the agent takes" do
      expect(info(agent)).to include("endpoints" => ["/v0.4/traces"], "client_drop_p0s" => false,
                                     "span_events" => true, "version" => String)
    end

    it "can be overridden" do
      described_class.start(info: { span_events: false, "config" => {} }) do |other|
        expect(info(other)).to include("endpoints" => Array, "span_events" => false, "config" => {})
        expect(connect(other) { |http| http.get("/info") }.body.scan("span_events").size).to eq(1)
      end
    end
  end

  describe "traces" do
    it "keeps them by trace and by span" do
      put([[span, span.merge("span_id" => 2)], [span]])
      put([[span.merge("span_id" => 3)]])

      expect(agent.traces.map(&:size)).to eq([2, 1, 1])
      expect(agent.spans).to eq([span, span.merge("span_id" => 2), span, span.merge("span_id" => 3)])
    end

    it "takes a POST too" do
      body = [[span]].to_msgpack
      connect { |http| http.post("/v0.4/traces", body, "Content-Type" => "application/msgpack") }

      expect(agent.spans).to eq([span])
    end

    it "decodes what meta_struct holds" do
      put([[span.merge("meta_struct" => { "appsec" => { "triggers" => [1] }.to_msgpack })]])

      expect(agent.spans.first["meta_struct"]).to eq("appsec" => { "triggers" => [1] })
    end

    it "answers with sampling rates" do
      expect(JSON.parse(put([[span]]).body)).to eq("rate_by_service" => { "service:,env:" => 1.0 })
    end

    it "answers with the sampling rates that it is given" do
      described_class.start(rate_by_service: { "service:web,env:prod" => 0.25 }) do |other|
        rates = JSON.parse(put([[span]], to: other).body)["rate_by_service"]

        expect(rates).to eq("service:web,env:prod" => 0.25)
      end
    end

    it "takes nil, which stands for a field's default, and fields that it doesn't know" do
      odd = span.merge("service" => nil, "meta" => nil, "unheard_of" => [1])

      expect(put([[odd]]).code).to eq("200")
      expect(agent.spans).to eq([odd])
    end
  end

  describe "refusals" do
    {
      "another content type" => [[[{}]], { type: "application/json" }, /Content-Type/],
      "a parameter on the content type" => [[[{}]], { type: "application/msgpack; a=b" }, /Content-Type/],
      "an empty body" => ["", {}, /not MessagePack/],
      "a truncated body" => [[[{ "name" => "x" }]].to_msgpack.chop, {}, /not MessagePack/],
      "trailing bytes" => ["#{[].to_msgpack}\x00", {}, /not MessagePack/],
      "a map in place of traces" => [{}, {}, /array of arrays/],
      "spans outside of a trace" => [[{}], {}, /array of arrays/],
      "a span that is no map" => [[[1]], {}, /map/],
      "a key that is no string" => [[[{ 1 => 2 }]], {}, /key/],
      "a string that is not UTF-8" => [[[{ "name" => "\xFF" }]], {}, /name/],
      "a binary in place of a string" => [[[{ "name" => "x".b }]], {}, /name/],
      "an id that is a string" => [[[{ "trace_id" => "1" }]], {}, /trace_id/],
      "an id that is negative" => [[[{ "span_id" => -1 }]], {}, /span_id/],
      "a start that is a float" => [[[{ "start" => 1.0 }]], {}, /start/],
      "an error beyond 32 bits" => [[[{ "error" => 2**31 }]], {}, /error/],
      "a key in meta that is no string" => [[[{ "meta" => { 1 => "v" } }]], {}, /meta/],
      "a number in meta" => [[[{ "meta" => { "k" => 1 } }]], {}, /meta/],
      "a string in metrics" => [[[{ "metrics" => { "k" => "1" } }]], {}, /metrics/],
      "a meta_struct that is not binary" => [[[{ "meta_struct" => { "k" => "v" } }]], {}, /meta_struct/],
      "a meta_struct that is not MessagePack" => [[[{ "meta_struct" => { "k" => "".b } }]], {}, /not Mess/],
      "a span event that is no map" => [[[{ "span_events" => [1] }]], {}, /span_events/]
    }.each do |what, (body, options, reason)|
      it "answers #{what} with a 400 that says why" do
        response = put(body, **options)

        expect([response.code, response.body]).to match(["400", reason])
        expect(agent.requests.last).to have_attributes(error: reason, traces: [])
        expect(agent.traces).to be_empty
      end
    end

    it "answers other paths and methods with a 404" do
      expect(put([[span]], path: "/v0.5/traces").code).to eq("404")
      expect(connect { |http| http.get("/v0.4/traces") }.code).to eq("404")
      expect(agent.traces).to be_empty
    end
  end

  describe "#requests" do
    it "shows everything that was asked, as it came" do
      connect { |http| http.get("/info?x", "X-A" => "b") }
      put([[span]])

      expect(agent.requests).to match(
        [have_attributes(method: "GET", path: "/info?x", body: "", traces: [],
                         headers: include("x-a" => "b")),
         have_attributes(method: "PUT", path: "/v0.4/traces", body: [[span]].to_msgpack, traces: [[span]],
                         headers: include("content-type" => "application/msgpack"), error: nil)]
      )
    end

    it "is a snapshot that can't change" do
      before = agent.requests
      put([[span]])

      expect(before).to be_empty.and be_frozen
      expect(agent.requests.first).to be_frozen
    end
  end

  describe "#clear" do
    it "forgets what arrived" do
      put([[span]])

      expect(agent.clear).to have_attributes(requests: [], traces: [])
    end
  end

  describe "#wait_for" do
    let(:timeout) { Datadog::NativeExport::Testing::Timeout }

    it "returns at once what is there" do
      put([[span], [span]])

      expect(agent.wait_for(spans: 1, timeout: 0)).to eq([span, span])
    end

    it "wakes up when the spans come" do
      put([[span]])
      waiting = Thread.new { agent.wait_for(spans: 2, timeout: 60) }
      Thread.pass until waiting.stop?
      put([[span]])

      expect(waiting.join(10)&.value).to eq([span, span])
    end

    it "says how many came when there are too few" do
      put([[span]])

      expect { agent.wait_for(spans: 3, timeout: 0.01) }
        .to raise_error(timeout, /expected 3 spans within 0.01 s, but 1 arrived/)
    end

    it "says why traces were refused" do
      put([[{ "error" => "no" }]])

      expect { agent.wait_for(spans: 1, timeout: 0) }
        .to raise_error(timeout, /0 arrived.*refused: a span's error has the wrong type/)
    end
  end

  describe "#respond_with" do
    it "answers traces with a status, and doesn't count them as arrived" do
      agent.respond_with(503)

      expect(put([[span]]).code).to eq("503")
      expect(agent.traces).to be_empty
      expect(agent.requests.first.traces).to eq([[span]])
    end

    it "takes headers and a body" do
      agent.respond_with(429, { "Retry-After" => "7" }, "later")

      response = put([[span]])
      expect([response.code, response["Retry-After"], response.body]).to eq(%w[429 7 later])
    end

    it "takes a block that may leave the answer to the agent" do
      failures = [503, [500, {}, "twice"]]
      agent.respond_with { failures.shift }

      expect(Array.new(3) { put([[span]]).code }).to eq(%w[503 500 200])
      expect(agent.spans).to eq([span])
    end

    it "shows the request to the block" do
      agent.respond_with { |request| [202, {}, request.traces.flatten.first["name"]] }

      expect(put([[span]])).to have_attributes(code: "202", body: "rack.request")
      expect(agent.spans).to eq([span])
    end

    it "answers with a 500 what the block raises" do
      agent.respond_with { raise "out of order" }

      expect(put([[span]])).to have_attributes(code: "500", body: /out of order/)
    end

    it "leaves /info alone" do
      agent.respond_with(503)

      expect(connect { |http| http.get("/info") }.code).to eq("200")
    end

    it "without arguments goes back to the usual answer" do
      agent.respond_with(503).respond_with

      expect(put([[span]]).code).to eq("200")
    end

    it "can stop the agent in the middle of a request" do
      agent.respond_with { agent.stop || 200 }

      expect(put([[span]]).code).to eq("200")
      expect { put([[span]]) }.to raise_error(Errno::ECONNREFUSED)
    end
  end

  describe "HTTP" do
    let(:trace_headers) { "PUT /v0.4/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/msgpack\r\n" }

    it "answers several requests on one connection" do
      connect do |http|
        http.get("/info")
        http.get("/info")
        http.send_request("PUT", "/v0.4/traces", [[span]].to_msgpack, "Content-Type" => "application/msgpack")
      end
      one = "GET /info HTTP/1.1\r\n\r\n"

      expect(raw(one * 3).scan("HTTP/1.1 200 OK").size).to eq(3)
      expect(agent.spans).to eq([span])
    end

    it "closes the connection when asked to" do
      expect(raw("GET /info HTTP/1.1\r\nConnection: Close\r\n\r\n" * 2).scan("HTTP/1.1 200").size).to eq(1)
    end

    it "reads a body in chunks, with extensions and trailers" do
      body = [[span]].to_msgpack
      request = ["#{trace_headers}Transfer-Encoding: chunked\r\n", "11;x=1", body[0, 17],
                 (body.size - 17).to_s(16).upcase, body[17..], "0", "X-Trailer: 1\r\n\r\n"].join("\r\n")

      expect(raw(request * 2).scan("HTTP/1.1 200").size).to eq(2)
      expect(agent.requests.map(&:body)).to eq([body, body])
    end

    it "asks for a body that the client holds back" do
      socket = TCPSocket.new("127.0.0.1", URI(agent.url).port)
      socket.write("#{trace_headers}Content-Length: 1\r\nExpect: 100-continue\r\n\r\n")

      expect(socket.gets("\r\n\r\n")).to eq("HTTP/1.1 100 Continue\r\n\r\n")
      socket.write([].to_msgpack)
      expect(socket.gets("\r\n")).to eq("HTTP/1.1 200 OK\r\n")
    ensure
      socket&.close
    end

    it "joins headers of the same name" do
      raw("GET /info HTTP/1.1\r\nX-A: 1\r\nx-a:2\r\n\r\n")

      expect(agent.requests.first.headers).to eq("x-a" => "1, 2")
    end

    {
      "a request line that is none" => "hello\r\n\r\n",
      "a request line without a version" => "GET /info\r\n",
      "a header without a colon" => "GET /info HTTP/1.1\r\nnonsense\r\n\r\n",
      "a length that is no number" => "PUT / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
      "a negative length" => "PUT / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
      "a chunk longer than it says" => "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n"
    }.each do |what, bytes|
      it "answers #{what} with a 400 and closes" do
        expect(raw(bytes + ("GET /info HTTP/1.1\r\n\r\n" * 2))).to match(%r{\AHTTP/1.1 400 (?!.*HTTP/1)}m)
      end
    end

    it "records nothing of a request that breaks off" do
      expect(raw("#{trace_headers}Content-Length: 9\r\n\r\n\x91")).to be_empty
      expect(agent.requests).to be_empty
    end
  end

  describe "#stop" do
    it "ends its threads and connections, also idle ones" do
      threads = Thread.list
      agent
      idle = Array.new(3) { TCPSocket.new("127.0.0.1", URI(agent.url).port) }
      idle.each { |socket| socket.write("GET /info HTTP/1.1\r\n\r\n") && socket.gets }
      agent.stop

      expect(Thread.list - threads).to be_empty
      expect(idle.map { |socket| socket.read.lines.last }).to all(include("endpoints"))
    ensure
      idle&.each(&:close)
    end

    it "can be called again, and what arrived can still be read" do
      put([[span]])
      agent.stop

      expect(agent.stop).to be_nil
      expect(agent.spans).to eq([span])
    end

    it "lets an answer that is under way go out" do
      started = Queue.new
      finish = Queue.new
      agent.respond_with { started.push(true) && finish.pop }
      response = Thread.new { put([[span]]) }
      started.pop
      stopping = Thread.new { agent.stop }
      Thread.pass until stopping.stop?
      finish.push(202)

      expect(response.value.code).to eq("202")
      stopping.join
    end

    it "cuts off an answer that doesn't come" do
      stub_const("Datadog::NativeExport::Testing::Server::GRACE", 0.01)
      started = Queue.new
      agent.respond_with { started.push(true) && Queue.new.pop }
      hung = Thread.new { raw("PUT /v0.4/traces HTTP/1.1\r\n\r\n") }
      started.pop
      agent.stop

      expect(hung.value).to be_empty
    end

    it "in a forked child doesn't disturb the parent" do
      connect do |http|
        http.get("/info")
        _, status = Process.wait2(fork { agent.stop || exit!(true) })

        expect(status).to be_success
        expect(http.get("/info").code).to eq("200")
        expect(put([[span]]).code).to eq("200")
      end
    end

    it "stops although a forked child holds copies of its sockets" do
      port = URI(agent.url).port
      idle = TCPSocket.new("127.0.0.1", port)
      idle.write("GET /info HTTP/1.1\r\n\r\n")
      idle.gets
      alive, release = IO.pipe
      child = fork { release.close || alive.read || exit!(true) }
      agent.stop

      expect(idle.read).to end_with("}")
      expect { TCPSocket.new("127.0.0.1", port) }.to raise_error(Errno::ECONNREFUSED)
    ensure
      [idle, alive, release].each { |io| io&.close }
      Process.wait(child) if child
    end
  end

  describe "require" do
    lib = File.expand_path("../../lib", __dir__)

    it "loads nothing else of the gem" do
      script = 'require "datadog/native_export/testing"; puts $LOADED_FEATURES.grep(/native_export/)'
      output, = Open3.capture2("ruby", "-I", lib, "-e", script)

      expect(output.lines).to all(match(%r{native_export/testing[/.]})).and include(/agent/)
    end

    it "says what to install when msgpack is missing" do
      script = <<~RUBY
        def require(name)
          name == "msgpack" ? raise(LoadError.new.tap { |error| def error.path = "msgpack" }) : super
        end
        require "datadog/native_export/testing"
      RUBY
      _, error, status = Open3.capture3("ruby", "-I", lib, "-e", script)

      expect(status).not_to be_success
      expect(error).to include("LoadError").and include("gem install msgpack")
    end
  end
end
