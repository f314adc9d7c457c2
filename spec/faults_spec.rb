# frozen_string_literal: true

require "logger"
require "tmpdir"
require_relative "support/fault_agent"

# What becomes of spans when the agent, or the way to it, is broken. After each example the counts have to
# add up, on both sides.
RSpec.describe "Faults" do
  let(:native) { Datadog::NativeExport }

  around do |example|
    Dir.mktmpdir do |folder|
      path = File.join(folder, "apm.socket") if example.metadata[:unix]
      Support::FaultAgent.start(path: path) do |agent|
        @agent = agent
        @next_id = 0
        example.run
      end
    end
  end

  attr_reader :agent

  # Nothing leaves before a flush, unless an example says so.
  def exporter(**options)
    @exporter ||= native::Exporter.new(agent_url: agent.url, logger: Logger.new(nil), flush_interval: 3_600, **options)
  end

  # One chunk for each Integer, with that many spans. No two spans of an example have the same id.
  def chunks(*span_counts, **fields)
    span_counts.each_with_object(native::TraceChunks.new) do |count, chunks|
      chunks.begin_chunk
      count.times { chunks << build_span(span_id: @next_id += 1, **fields) }
    end
  end

  # With max_payload_bytes of 10,000 each of them is sent on its own.
  def export_payloads(count)
    Array.new(count) do
      expect(exporter.export(chunks(1, meta: { "k" => "x" * 6_000 }))).to be(true)
      @next_id
    end
  end

  def gaps(attempts = agent.attempts)
    attempts.map(&:at).each_cons(2).map { |before, after| after - before }
  end

  # What holds whatever happened, once nothing is on its way.
  def expect_counts_to_add_up
    stats = exporter.stats
    expect(stats).to include(spans_queued: 0, chunks_queued: 0, bytes_queued: 0)
    expect(stats[:spans_exported]).to eq(@next_id).and eq(stats[:spans_sent] + stats[:spans_dropped])
    expect(stats[:spans_dropped]).to eq(stats[:dropped].values.sum)
    expect_agent_to_agree(stats[:spans_sent])
  end

  # More than was counted as sent, or more than once, arrives only where an answer was lost.
  def expect_agent_to_agree(sent)
    received = agent.received
    expect(agent.problems).to be_empty
    expect(received.keys - (1..@next_id).to_a).to be_empty
    expect(received.select { |_, count| count > 1 }.keys - agent.unanswered).to be_empty
    expect(received.size - sent).to be_between(0, agent.unanswered.size)
  end

  # Nothing arrived twice, and as much as was counted as sent.
  def expect_outcome(sent:, **dropped)
    expect_counts_to_add_up
    expect(exporter.stats).to include(spans_sent: sent)
    expect(exporter.stats[:dropped].reject { |_, spans| spans.zero? }).to eq(dropped)
    expect(agent.received.values).to eq([1] * sent)
  end

  # The spans have not been taken, or have, but nobody knows.
  lost_requests = {
    "a reset before the request is read" => { reset: :request },
    "a reset in the middle of the request" => { reset: :body },
    "no answer in time" => { hang: true },
    "an answer that is no HTTP" => { raw: "220 mail.example.org ESMTP\r\n" },
    "a connection that is closed without an answer" => { raw: "" }
  }.freeze
  lost_answers = {
    "a reset instead of the answer" => { reset: :answer },
    "half an answer" => { raw: Support::FaultAgent::HALF_AN_ANSWER },
    "half an answer and no end" => { raw: Support::FaultAgent::HALF_AN_ANSWER, hang: true },
    "an answer that comes too late" => { delay: 0.6 }
  }.freeze
  retried = [408, 429, 500, 502, 503, 504].freeze
  final = [300, 301, 302, 304, 307, 400, 401, 403, 404, 405, 410, 415, 422].freeze

  [{ unix: false }, { unix: true }].each do |transport|
    describe(transport[:unix] ? "over a Unix socket" : "over TCP", **transport) do
      lost_requests.each do |fault, step|
        it "delivers once after #{fault}" do
          agent.script(step)
          exporter(agent_timeout: 0.3).export(chunks(2, 1))

          expect(exporter.flush(timeout: 10)).to be(true)
          expect_outcome(sent: 3)
          expect(agent.attempts.size).to eq(2)
          expect(exporter.stats).to include(retries: 1, payloads_sent: 1)
        end

        it "gives up after #{fault} at the deadline" do
          agent.usual = step
          exporter(agent_timeout: 0.3, retry_deadline: 0.8).export(chunks(2, 1))

          took = elapsed { expect(exporter.flush(timeout: 10)).to be(true) }
          expect(took).to be < 1.6
          expect_outcome(sent: 0, unreachable: 3)
          expect(exporter.stats[:last_error]).to match(/#{Regexp.escape(agent.url)}.* cannot be reached: ./)
          expect(agent.attempts.size).to be > 1
        end
      end

      lost_answers.each do |fault, step|
        it "delivers again after #{fault}, and counts once" do
          agent.script(step)
          exporter(agent_timeout: 0.3).export(chunks(2, 1))

          expect(exporter.flush(timeout: 10)).to be(true)
          expect_counts_to_add_up
          expect(exporter.stats).to include(spans_sent: 3, payloads_sent: 1, retries: 1)
          expect(agent.received).to eq(1 => 2, 2 => 2, 3 => 2)
        end

        it "counts as lost what got #{fault} until the deadline" do
          agent.usual = step
          exporter(agent_timeout: 0.3, retry_deadline: 0.5).export(chunks(2, 1))

          expect(exporter.flush(timeout: 10)).to be(true)
          expect_counts_to_add_up
          expect(exporter.stats[:dropped]).to include(unreachable: 3)
          expect(exporter.stats[:last_error]).to match(/cannot be reached: ./)
          expect(agent.received.size).to eq(3)
        end
      end

      retried.each do |status|
        it "delivers after #{status}" do
          agent.script({ status: status }, { status: status })
          exporter.export(chunks(2, 1))

          expect(exporter.flush(timeout: 10)).to be(true)
          expect_outcome(sent: 3)
          expect(exporter.stats).to include(retries: 2, payloads_sent: 1)
        end
      end

      it "delivers when the agent has gone away and come back between two requests" do
        exporter.export(chunks(1))
        expect(exporter.flush(timeout: 10)).to be(true)
        agent.stop
        agent.start
        exporter.export(chunks(1))

        expect(exporter.flush(timeout: 10)).to be(true)
        expect_outcome(sent: 2)
      end

      it "delivers when the agent has closed connections that were idle" do
        3.times do
          exporter.export(chunks(1))
          expect(exporter.flush(timeout: 10)).to be(true)
          agent.disconnect
        end

        expect_outcome(sent: 3)
      end

      it "delivers what was exported while the agent was away" do
        agent.stop
        exporter(flush_interval: 0.01).export(chunks(2))
        wait_until { exporter.stats[:spans_queued].zero? }
        expect(exporter.flush(timeout: 0.5)).to be(false)
        exporter.export(chunks(1))
        agent.start

        expect(exporter.flush(timeout: 10)).to be(true)
        expect_outcome(sent: 3)
      end

      it "delivers to a slow reader" do
        agent.usual = { slow: 50_000 }
        exporter.export(chunks(1, 1, meta: { "k" => "x" * 500_000 }))

        expect(exporter.flush(timeout: 10)).to be(true)
        expect_outcome(sent: 2)
        expect(exporter.stats).to include(retries: 0)
      end

      it "gives up a reader that is too slow" do
        agent.usual = { slow: 5_000 }
        exporter(agent_timeout: 0.4, retry_deadline: 1).export(chunks(1, 1, meta: { "k" => "x" * 500_000 }))

        took = elapsed { expect(exporter.flush(timeout: 10)).to be(true) }
        expect(took).to be < 1.8
        expect_outcome(sent: 0, unreachable: 2)
      end

      it "counts the agent's absence as unreachable at the deadline" do
        agent.stop
        exporter(retry_deadline: 0.5).export(chunks(2, 1))

        took = elapsed { expect(exporter.flush(timeout: 10)).to be(true) }
        expect(took).to be < 1.3
        expect_outcome(sent: 0, unreachable: 3)
        expect(exporter.stats[:last_error]).to match(/#{Regexp.escape(agent.url)}.* cannot be reached: .*[Cc]onnect/)
      end
    end
  end

  it "delivers while /info is broken" do
    { hang: true, reset: true, status: 500 }.each do |fault, value|
      agent.info = { fault => value }
      broken = native::Exporter.new(agent_url: agent.url, logger: Logger.new(nil), agent_timeout: 0.5)
      before = agent.received.size
      broken.export(chunks(1))

      expect(broken.flush(timeout: 5)).to be(true)
      expect(broken.stats).to include(spans_sent: 1, retries: 0), "with #{fault}: #{broken.stats}"
      expect(agent.received.size).to eq(before + 1)
    end
  end

  describe "an answer that is final" do
    final.each do |status|
      it "is not asked for again: #{status}" do
        agent.script({ status: status, headers: { "Location" => "#{agent.url}/v0.4/traces" }, body: "so it is" })
        exporter.export(chunks(2, 1))

        expect(exporter.flush(timeout: 10)).to be(true)
        expect_outcome(sent: 0, refused: 3)
        expect(agent.attempts.size).to eq(1)
        expect(exporter.stats).to include(retries: 0, last_error: match(/answered #{status}/))
      end
    end

    it "concerns its own payload alone" do
      agent.script({ status: 400 })
      exporter.export(chunks(2))
      exporter.flush(timeout: 10)
      exporter.export(chunks(3))

      expect(exporter.flush(timeout: 10)).to be(true)
      expect_outcome(sent: 3, refused: 2)
    end

    [200, 202, 204].each do |status|
      it "may be another success: #{status}" do
        agent.usual = { status: status, body: "" }
        exporter.export(chunks(2))

        expect(exporter.flush(timeout: 10)).to be(true)
        expect_outcome(sent: 2)
      end
    end
  end

  describe "waits" do
    it "grow, up to the deadline" do
      agent.usual = { status: 503, body: "overloaded" }
      exporter(retry_deadline: 2).export(chunks(3))

      took = elapsed { expect(exporter.flush(timeout: 10)).to be(true) }
      expect(took).to be_between(0.7, 2.5)
      expect_outcome(sent: 0, refused: 3)
      expect(exporter.stats[:last_error]).to match(/answered 503.*overloaded/)
      expect(gaps.size).to be_between(3, 6)
      # Half of 100 ms, 200, 400, 800 and then of a second; the upper limits leave time for the request.
      gaps.zip([0.1, 0.2, 0.4, 0.8, 1, 1]).each { |gap, wait| expect(gap).to be_between(wait / 2, wait + 0.25) }
      expect(agent.attempts.last.at - agent.attempts.first.at).to be < 2.1
    end

    it "grow as well when there is no answer" do
      agent.usual = { reset: :request }
      exporter(retry_deadline: 1.5).export(chunks(1))

      expect(exporter.flush(timeout: 10)).to be(true)
      expect_outcome(sent: 0, unreachable: 1)
      gaps.zip([0.1, 0.2, 0.4, 0.8, 1]).each { |gap, wait| expect(gap).to be_between(wait / 2, wait + 0.25) }
    end

    it "differ from payload to payload" do
      agent.script(*Array.new(8, [{ status: 503 }, {}]).flatten)
      8.times do
        exporter.export(chunks(1))
        expect(exporter.flush(timeout: 10)).to be(true)
      end

      waits = agent.attempts.each_slice(2).map { |first, second| second.at - first.at }
      # Eight of them come as close together as this once in a million times.
      expect(waits.max - waits.min).to be > 0.005
      expect_outcome(sent: 8)
    end

    it "are as long as the agent asks for" do
      agent.script({ status: 429, headers: { "Retry-After" => "1" } })
      exporter.export(chunks(1))

      expect(exporter.flush(timeout: 10)).to be(true)
      expect(gaps).to match([be_between(1.0, 1.5)])
      expect_outcome(sent: 1)
    end

    it "end at once when the agent asks for more than there is" do
      agent.usual = { status: 503, headers: { "Retry-After" => "30" } }
      exporter(retry_deadline: 1).export(chunks(1))

      expect(exporter.flush(timeout: 10)).to be(true)
      expect(agent.attempts.size).to eq(1)
      expect_outcome(sent: 0, refused: 1)
    end

    ["-1", "soon", "", "1.5", "Fri, 31 Dec 1999 23:59:59 GMT"].each do |value|
      it "are the usual ones when the agent asks for #{value.inspect}" do
        agent.script({ status: 503, headers: { "Retry-After" => value } })
        exporter.export(chunks(1))

        expect(exporter.flush(timeout: 10)).to be(true)
        expect(gaps).to match([be_between(0.05, 0.35)])
        expect_outcome(sent: 1)
      end
    end

    %w[18446744073709551615 99999999999999999999999].each do |value|
      it "end at once when the agent asks for #{value} s" do
        agent.usual = { status: 503, headers: { "Retry-After" => value } }
        exporter(retry_deadline: 0.5).export(chunks(1))

        expect(exporter.flush(timeout: 5)).to be(true)
        expect(agent.attempts.size).to eq(1)
        expect_outcome(sent: 0, refused: 1)
      end
    end

    it "do not become a storm when the agent asks for none" do
      agent.usual = { status: 503, headers: { "Retry-After" => "0" } }
      exporter(retry_deadline: 1).export(chunks(1))

      expect(exporter.flush(timeout: 10)).to be(true)
      expect(agent.attempts.size).to be_between(2, 20)
      expect_outcome(sent: 0, refused: 1)
    end
  end

  describe "payloads that wait" do
    it "do not hold up newer ones" do
      agent.script({ status: 503, headers: { "Retry-After" => "2" } })
      exporter(flush_interval: 0.01).export(chunks(1))
      wait_until { agent.attempts.size == 1 }
      exporter.export(chunks(1))

      wait_until(limit: 1) { agent.received == { 2 => 1 } }
      expect(exporter.flush(timeout: 10)).to be(true)
      expect_outcome(sent: 2)
      expect(agent.attempts.map(&:delivered)).to eq([nil, true, true])
      expect(agent.attempts.last.at - agent.attempts.first.at).to be_between(2, 2.5)
    end

    it "do not hold up what is sent and waited for" do
      agent.script({ status: 503, headers: { "Retry-After" => "1" } })
      exporter(flush_interval: 0.01).export(chunks(1))
      wait_until { agent.attempts.size == 1 }

      expect(elapsed { expect(exporter.send_trace_chunks(chunks(1), timeout: 5)).to be_ok }).to be < 0.5
      expect(exporter.stats).to include(spans_sent: 1)
      expect(exporter.flush(timeout: 10)).to be(true)
      expect_outcome(sent: 2)
    end

    it "are waited for by flush, and by shutdown" do
      %i[flush shutdown].each_with_index do |way, index|
        agent.script({ status: 503, headers: { "Retry-After" => "1" } })
        exporter.export(chunks(1))

        expect(exporter.public_send(way, timeout: 0.3)).to be(false)
        expect(exporter.public_send(way, timeout: 10)).to be(true)
        expect_outcome(sent: index + 1)
      end
    end

    it "keep their own time, many at once" do
      agent.script(*Array.new(5) { { status: 503, headers: { "Retry-After" => "1" } } })
      exporter(max_payload_bytes: 10_000)
      export_payloads(5)

      expect(elapsed { expect(exporter.flush(timeout: 10)).to be(true) }).to be_between(1.0, 2.5)
      expect_outcome(sent: 5)
      expect(agent.attempts.size).to eq(10)
    end

    it "count for the queue's bounds" do
      agent.usual = { status: 503, headers: { "Retry-After" => "1" } }
      exporter(max_queue_spans: 5, flush_interval: 0.01).export(chunks(2, 2))
      wait_until { agent.attempts.size == 1 }

      expect(exporter.export(chunks(1))).to be(true)
      expect(exporter.export(chunks(1))).to be(false)
      expect(exporter.stats[:dropped]).to include(queue_full: 1)
      agent.usual = {}
      expect(exporter.flush(timeout: 10)).to be(true)
      expect(exporter.export(chunks(5))).to be(true)
      expect(exporter.flush(timeout: 10)).to be(true)
      expect_outcome(sent: 10, queue_full: 1)
    end

    it "count for the queue's bound in bytes" do
      agent.usual = { status: 503, headers: { "Retry-After" => "1" } }
      exporter(max_queue_bytes: 1_000_000, flush_interval: 0.01)
      expect(exporter.export(chunks(1, meta: { "k" => "x" * 400_000 }))).to be(true)
      wait_until { agent.attempts.size == 1 }
      taken = Array.new(4) { exporter.export(chunks(1, meta: { "k" => "x" * 400_000 })) }

      expect(taken).to include(false)
      agent.usual = {}
      expect(exporter.flush(timeout: 10)).to be(true)
      expect_outcome(sent: 1 + taken.count(true), queue_full: taken.count(false))
    end
  end

  describe "an agent that is away" do
    def be_away_for(seconds)
      export_payloads(10)
      # Has them all sent.
      expect(exporter.flush(timeout: seconds)).to be(false)
    end

    it "is asked by one request at a time, however much waits for it" do
      agent.usual = { delay: 0.02, reset: :answer, status: 503 }
      exporter(max_payload_bytes: 10_000)
      be_away_for(1)
      attempts = agent.attempts.size
      agent.usual = {}

      expect(attempts).to be_between(3, 14)
      expect(gaps.max).to be > 0.2
      expect(exporter.flush(timeout: 10)).to be(true)
      expect(agent.most_at_once).to eq(1)
      expect_outcome(sent: 10)
      expect(exporter.stats).to include(payloads_sent: 10)
    end

    [{ unix: false }, { unix: true }].each do |transport|
      it "is asked as rarely when nobody listens#{" on a Unix socket" if transport[:unix]}", **transport do
        agent.stop
        exporter.export(chunks(1))
        expect(exporter.flush(timeout: 1)).to be(false)

        # 50 to 100 ms, 100 to 200 and so on.
        expect(exporter.stats[:retries]).to be_between(3, 5)
        agent.start
        expect(exporter.flush(timeout: 10)).to be(true)
        expect_outcome(sent: 1)
      end
    end

    it "gets all of it at once when it is back" do
      exporter(max_payload_bytes: 10_000)
      agent.stop
      be_away_for(0.5)
      agent.start

      expect(elapsed { expect(exporter.flush(timeout: 10)).to be(true) }).to be < 1.5
      expect_outcome(sent: 10)
    end

    it "leaves the queue within its bound, dropping what comes" do
      exporter(max_queue_bytes: 100_000, flush_interval: 0.01)
      agent.stop
      taken = Array.new(30) { exporter.export(chunks(1, meta: { "k" => "x" * 10_000 })) }

      expect(taken.count(true)).to be_between(4, 10)
      expect(exporter.flush(timeout: 0.3)).to be(false)
      expect(exporter.export(chunks(1, meta: { "k" => "x" * 90_000 }))).to be(false)
      expect(exporter.stats[:dropped]).to include(queue_full: taken.count(false) + 1)
      agent.start
      expect(exporter.flush(timeout: 10)).to be(true)
      expect_outcome(sent: taken.count(true), queue_full: taken.count(false) + 1)
      expect(exporter.export(chunks(1))).to be(true)
      expect(exporter.flush(timeout: 10)).to be(true)
      expect(exporter.stats[:last_error]).to match(/limit|full/)
    end

    it "is given what is left after shutdown" do
      agent.stop
      exporter.export(chunks(2))
      expect(exporter.shutdown(timeout: 0.2)).to be(false)
      agent.start

      expect(exporter.shutdown(timeout: 10)).to be(true)
      expect_outcome(sent: 2)
    end
  end

  describe "a full queue" do
    it "keeps what came first" do
      taken = Array.new(25) { exporter(max_queue_spans: 10).export(chunks(1)) }

      expect(taken).to eq(([true] * 10) + ([false] * 15))
      expect(exporter.flush(timeout: 10)).to be(true)
      expect_outcome(sent: 10, queue_full: 15)
      expect(agent.received.keys).to match_array(1..10)
    end

    it "keeps what came last, with when_full: :drop_oldest" do
      taken = Array.new(25) { exporter(max_queue_spans: 10, when_full: :drop_oldest).export(chunks(1)) }

      expect(taken).to all(be(true))
      expect(exporter.flush(timeout: 10)).to be(true)
      expect_outcome(sent: 10, queue_full: 15)
      expect(agent.received.keys).to match_array(16..25)
      expect(exporter.stats[:last_error]).to match(/limit|full/)
    end

    it "keeps as much as there is room for in bytes, with when_full: :drop_oldest" do
      exporter(max_queue_bytes: 100_000, when_full: :drop_oldest)
      taken = Array.new(30) { exporter.export(chunks(1, meta: { "k" => "x" * 10_000 })) }

      expect(taken).to all(be(true))
      expect(exporter.flush(timeout: 10)).to be(true)
      kept = agent.received.size
      expect(kept).to be_between(4, 10)
      expect_outcome(sent: kept, queue_full: 30 - kept)
      expect(agent.received.keys).to match_array((31 - kept)..30)
    end

    it "is not emptied for what can't be kept anyway" do
      exporter(max_queue_spans: 10, when_full: :drop_oldest).export(chunks(4, 4))

      expect(exporter.export(chunks(11))).to be(false)
      expect(exporter.flush(timeout: 10)).to be(true)
      expect_outcome(sent: 8, queue_full: 11)
    end

    it "is not emptied for what finds no room beside what is on its way" do
      agent.script({ status: 503, headers: { "Retry-After" => "1" } })
      exporter(max_queue_spans: 10, when_full: :drop_oldest).export(chunks(8))
      expect(exporter.flush(timeout: 0.1)).to be(false)
      exporter.export(chunks(2))

      expect(exporter.export(chunks(5))).to be(false)
      expect(exporter.flush(timeout: 10)).to be(true)
      expect_outcome(sent: 10, queue_full: 5)
    end

    it "drops the oldest when the agent is away, but for what is on its way" do
      agent.stop
      exporter(max_queue_spans: 10, when_full: :drop_oldest).export(chunks(1))
      expect(exporter.flush(timeout: 0.2)).to be(false)
      taken = Array.new(14) { exporter.export(chunks(1)) }
      agent.start

      expect(taken).to all(be(true))
      expect(exporter.flush(timeout: 10)).to be(true)
      expect_outcome(sent: 10, queue_full: 5)
      expect(agent.received.keys).to contain_exactly(1, *7..15)
    end
  end

  describe "413" do
    it "is what all is lost for, when there is no time to try every part" do
      agent.max_body_bytes = 1
      exporter(retry_deadline: 0.2).export(chunks(*([1] * 2_000)))

      expect(exporter.flush(timeout: 20)).to be(true)
      expect(agent.attempts.size).to be < 2_000
      expect_outcome(sent: 0, too_large: 2_000)
    end

    it "has the payload split between chunks, as often as it takes" do
      agent.max_body_bytes = 4_000
      exporter.export(chunks(*([1] * 16), meta: { "k" => "x" * 1_000 }))

      expect(exporter.flush(timeout: 10)).to be(true)
      expect_outcome(sent: 16)
      taken = agent.attempts.select(&:delivered)
      expect(taken.map { |attempt| attempt.body.bytesize }).to all(be <= 4_000)
      expect(agent.attempts.size).to be_between(taken.size + 1, 2 * 16)
      expect(exporter.stats).to include(payloads_sent: taken.size, bytes_sent: taken.sum { |one| one.body.bytesize })
    end

    it "changes nothing about the chunks" do
      span = lambda do
        build_span(span_id: @next_id += 1, meta: { "k" => "é" * 200 }, metrics: { "m" => -1.5 },
                   meta_struct: { "s" => [1] })
          .add_link(trace_id: 1 << 100, span_id: 1, attributes: { "a" => "b" }, tracestate: "c")
          .add_event(name: "e", time_unix_nano: 1, attributes: { "list" => [1, 2], "t" => true, "d" => 1.5 })
      end
      all = native::TraceChunks.new
      [3, 1, 20, 2, 1].each { |spans| all.begin_chunk && spans.times { all << span.call } }
      agent.script(*Array.new(3) { { status: 413 } })
      exporter.export(all)

      expect(exporter.flush(timeout: 10)).to be(true)
      expect_outcome(sent: 27)
      whole, *parts = agent.attempts
      expect(parts.select(&:delivered).flat_map(&:traces)).to match_array(whole.traces)
      expect(parts.map { |part| part.headers.except("x-datadog-trace-count", "content-length") })
        .to all(eq(whole.headers.except("x-datadog-trace-count", "content-length")))
    end

    # Where the header of an array changes.
    [2, 15, 16, 17, 31, 32, 65_536, 70_000].each do |count|
      it "splits #{count} chunks" do
        agent.script({ status: 413 })
        exporter(max_payload_bytes: 25 * 1024 * 1024).export(chunks(*([1] * count), service: "s", name: "n"))

        expect(exporter.flush(timeout: 30)).to be(true)
        expect_outcome(sent: count)
        expect(agent.attempts.size).to eq(3)
      end
    end

    it "drops the chunk that is too large on its own, and that alone" do
      agent.max_body_bytes = 4_000
      exporter.export(chunks(1, 1, 1, 3, 1, 1, 1, 1, meta: { "k" => "x" * 1_500 }))

      expect(exporter.flush(timeout: 10)).to be(true)
      expect_outcome(sent: 7, too_large: 3)
      expect(agent.received.keys).to match_array([1, 2, 3, 7, 8, 9, 10])
      expect(exporter.stats).to include(last_error: match(/413/), retries: 0)
    end

    it "may come for all" do
      agent.usual = { status: 413, body: "never" }
      exporter.export(chunks(1, 2, 3, 4))

      expect(exporter.flush(timeout: 10)).to be(true)
      expect_outcome(sent: 0, too_large: 10)
      expect(agent.attempts.size).to eq(7)
      expect(exporter.stats[:last_error]).to match(/413.*never/)
    end

    it "is told to who waits for it" do
      agent.max_body_bytes = 4_000
      response = exporter.send_trace_chunks(chunks(1, 3, 1, meta: { "k" => "x" * 1_500 }), timeout: 10)

      expect(response).to have_attributes(ok?: false, status: 413, loss: :too_large, client_error?: true,
                                          trace_count: 3, accepted_count: 2)
      expect_outcome(sent: 2, too_large: 3)
      expect(exporter.send_trace_chunks(chunks(1, 1, 1, meta: { "k" => "x" * 1_500 }), timeout: 10)).to be_ok
      expect_outcome(sent: 5, too_large: 3)
    end

    it "leaves parts that are tried again and refused like any payload" do
      agent.script({ status: 413 }, { status: 503 }, { status: 400 })
      exporter.export(chunks(2, 2))

      expect(exporter.flush(timeout: 10)).to be(true)
      expect_outcome(sent: 2, refused: 2)
      expect(agent.attempts.size).to eq(4)
    end

    it "leaves parts that are retried after a reset" do
      agent.script({ status: 413 }, { reset: :body }, { reset: :request })
      exporter.export(chunks(2, 2))

      expect(exporter.flush(timeout: 10)).to be(true)
      expect_outcome(sent: 4)
    end

    it "may come before the payload has been read" do
      agent.script({ status: 413, early: true })
      exporter.export(chunks(1, 1, 1, meta: { "k" => "x" * 1_000_000 }))

      expect(exporter.flush(timeout: 10)).to be(true)
      expect_outcome(sent: 3)
    end
  end

  describe "an agent that hangs" do
    it "holds up nobody for longer than they want to wait, and gets all of it" do
      release = Queue.new
      agent.usual = { wait: release }
      exporter(agent_timeout: 30, retry_deadline: 30).export(chunks(1))

      expect(elapsed { expect(exporter.flush(timeout: 0.3)).to be(false) }).to be_between(0.3, 0.55)
      response = nil
      expect(elapsed { response = exporter.send_trace_chunks(chunks(1), timeout: 0.3) }).to be_between(0.3, 0.55)
      expect(response).to have_attributes(ok?: false, error: an_instance_of(native::TimeoutError))
      expect(elapsed { 10.times { expect(exporter.export(chunks(1))).to be(true) } }).to be < 0.25
      expect(elapsed { expect(exporter.shutdown(timeout: 0.3)).to be(false) }).to be_between(0.3, 0.55)
      expect(exporter.stats).to include(spans_sent: 0, spans_dropped: 0)

      10.times { release << nil }
      expect(exporter.shutdown(timeout: 10)).to be(true)
      expect_outcome(sent: 12)
    end

    it "is left for another connection at the request's timeout" do
      agent.script({ hang: true }, { hang: true })
      exporter(agent_timeout: 0.3, max_payload_bytes: 10_000)
      export_payloads(3)

      expect(elapsed { expect(exporter.flush(timeout: 10)).to be(true) }).to be_between(0.6, 2)
      expect_outcome(sent: 3)
    end
  end

  describe "a payload that the agent can't stand" do
    { "resets the connection" => { status: 500, reset: :answer }, "hangs" => { hang: true } }.each do |fault, step|
      it "does not keep others from arriving when the agent #{fault}" do
        agent.usual = ->(attempt) { attempt.span_ids.include?(1) ? step : {} }
        exporter(agent_timeout: 0.3, max_payload_bytes: 10_000, retry_deadline: 5)
        export_payloads(8)

        expect(exporter.flush(timeout: 0.01)).to be(false)
        wait_until(limit: 5) { agent.received.size == 7 }
        expect(exporter.flush(timeout: 10)).to be(true)
        expect_outcome(sent: 7, unreachable: 1)
      end
    end
  end

  it "leaves to a fork what is the fork's" do
    agent.script({ status: 503, headers: { "Retry-After" => "1" } })
    exporter.export(chunks(1))
    expect(exporter.flush(timeout: 0.2)).to be(false)
    child = in_child do
      exporter.export(chunks(1))
      exporter.flush(timeout: 10) && exporter.stats
    end

    expect(child).to include(spans_exported: 1, spans_sent: 1, spans_dropped: 0)
    expect(agent.received).to eq(2 => 1)
    expect(exporter.flush(timeout: 10)).to be(true)
    expect(agent.received).to eq(1 => 1, 2 => 1)
    expect(exporter.stats).to include(spans_exported: 1, spans_sent: 1, retries: 1)
  end

  # Everything at once, from several threads.
  describe "any mixture" do
    transient = [{ status: 503 }, { status: 429 }, { status: 408 }, { status: 500 }, { reset: :request },
                 { reset: :body }, { raw: "" }, { status: 503, headers: { "Retry-After" => "1" } },
                 { slow: 5_000 }].freeze

    def work(threads: 4, rounds: 40)
      Array.new(threads) do |thread|
        Thread.new do
          rounds.times do |round|
            yield thread, round
            exporter.flush(timeout: 0.02) if (round % 5).zero?
          end
        end
      end.each(&:join)
    end

    def export_numbered(thread, round)
      chunks = native::TraceChunks.new
      2.times do |chunk|
        id = (((thread * 40) + round) * 2) + chunk + 1
        chunks.begin_chunk << build_span(span_id: id, meta: { "k" => "x" * (id % 10 * 500) })
      end
      exporter.export(chunks)
    end

    def mix(faults, random)
      @next_id = 320
      agent.usual = ->(_) { random.rand < 0.3 ? faults.sample(random: random) : {} }
      agent.script(*Array.new(30) { random.rand < 0.5 ? faults.sample(random: random) : {} })
      exporter(flush_interval: 0.02, max_payload_bytes: 20_000, retry_deadline: 30)
    end

    2.times do
      seed = Random.new_seed % 100_000

      it "of faults before delivery ends in each span's arriving once (seed #{seed})" do
        mix(transient, Random.new(seed))
        work { |thread, round| export_numbered(thread, round) }
        agent.usual = {}

        expect(exporter.flush(timeout: 30)).to be(true)
        expect_outcome(sent: 320)
      end

      it "of all faults, with an agent that restarts, ends in counts that add up (seed #{seed})" do
        faults = transient + [{ reset: :answer }, { raw: Support::FaultAgent::HALF_AN_ANSWER }, { status: 400 }]
        mix(faults, Random.new(seed))
        agent.max_body_bytes = 12_000
        work do |thread, round|
          export_numbered(thread, round)
          agent.stop && agent.start if thread.zero? && (round % 10).zero?
        end
        agent.usual = {}

        expect(exporter.shutdown(timeout: 30)).to be(true)
        expect_counts_to_add_up
        dropped = exporter.stats[:dropped]
        expect(dropped.values_at(:unreachable, :internal, :too_large)).to eq([0, 0, 0])
        expect(agent.received.size).to be >= 320 - dropped[:refused]
      end
    end
  end
end
