# frozen_string_literal: true

require_relative "../support/testing_agent"

RSpec.describe Datadog::NativeExport::Testing::Agent do
  include_context "with requests to a testing agent"

  describe ".start" do
    it "returns a running agent" do
      expect(get("/info").code).to eq("200")
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
      JSON.parse(get("/info", from:).body)
    end

    it "tells what the agent takes" do
      expect(info(agent)).to include("endpoints" => ["/v0.4/traces"], "client_drop_p0s" => false,
                                     "span_events" => true, "version" => String)
    end

    it "can be overridden" do
      described_class.start(info: { span_events: false, "config" => {} }) do |other|
        expect(info(other)).to include("endpoints" => Array, "span_events" => false, "config" => {})
        expect(get("/info", from: other).body.scan("span_events").size).to eq(1)
      end
    end
  end

  it "takes statistics where it says so" do
    described_class.start(info: { endpoints: ["/v0.4/traces", "/v0.6/stats"] }) do |other|
      expect([agent, other].map { |to| put("x", path: "/v0.6/stats", to:).code }).to eq(%w[404 200])
      expect(other.requests.map(&:body)).to eq(["x"])
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

      expect(get("/info").code).to eq("200")
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
end
