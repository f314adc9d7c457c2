# frozen_string_literal: true

require_relative "../support/faults"

# Everything at once, from several threads.
RSpec.describe "Faults: any mixture" do
  include_context "with a faulty agent"

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
    chunks = Datadog::NativeExport::TraceChunks.new
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

      expect_flush
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
