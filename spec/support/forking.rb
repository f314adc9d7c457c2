# frozen_string_literal: true

# Scripts that fork. All processes go on with the same exporter, which sends nothing before a flush, or the end.
RSpec.shared_context "with a script that forks" do
  include_context "with an agent"

  let(:script) { <<~RUBY }
    include Datadog::NativeExport
    EXPORTER = Exporter.new(agent_url: ARGV[0], flush_interval: 3_600, agent_timeout: 30, shutdown_timeout: 30).freeze
    def chunks(number)
      TraceChunks.new.begin_chunk << Span.new(name: "job", trace_id: 1, span_id: number, start: 0, duration: 0,
                                              meta: { "pid" => Process.pid.to_s })
    end
    def export(number) = EXPORTER.export(chunks(number))
    def reap(pid)
      status = Process.wait2(pid)[1]
      abort "the child's end: \#{status}" unless status.success?
    end
  RUBY

  # The ids of the spans in each request, in order of arrival.
  def deliveries
    agent.requests.select(&:trace_request?).map { |request| request.traces.flatten(1).map { |span| span["span_id"] } }
  end

  # Expects two processes, of which the parent made the spans with odd numbers.
  def expect_own_spans_from_each
    odd, even = agent.spans.partition { |span| span["span_id"].odd? }
    parent, child = [odd, even].map { |spans| spans.map { |span| span["meta"]["pid"] }.uniq }
    expect([parent, child]).to match([[/\d/], [/\d/]])
    expect(child).not_to eq(parent)
  end

  def run_in_peace(body)
    output, errors, status = run_ruby("#{script}\n#{body}", agent.url)
    expect([output, errors, status.exitstatus]).to eq(["", "", 0])
  end
end
