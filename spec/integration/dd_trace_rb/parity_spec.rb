# frozen_string_literal: true

require_relative "../../support/dd_trace_rb"

# What real work leaves at an agent by this gem has to be what it leaves there by dd-trace-rb's own HTTP transport.
RSpec.describe "dd-trace-rb's traces" do
  include_context "with dd-trace-rb"

  # Headers that one of the two sends for reasons of its own.
  own = %w[
    host user-agent accept accept-encoding connection content-length x-datadog-trace-count
    x-datadog-test-session-token datadog-send-real-http-status datadog-rates-payload-version
  ]

  # Of the machine rather than the work, and found out by different means.
  container = %w[datadog-container-id datadog-entity-id datadog-external-env]
  # An agent takes any value of these for true.
  flags = %w[datadog-client-computed-top-level datadog-client-computed-stats]

  headers_of = lambda do |request|
    headers = request["headers"].transform_keys(&:downcase).except(*own)
    headers.to_h { |name, value| [name, flags.include?(name) ? "set" : value] }
  end

  # The chunks and the headers that arrive.
  traced = Hash.new do |all, (children, way, file)|
    token = children.agent.start_session
    children.trace_with(way, File.read(file), token:)
    chunks = children.comparable(children.chunks(token))
    all[[children, way, file]] = [chunks, children.trace_requests(token).map(&headers_of).uniq]
  end
  children = Object.new.extend(Support::DDTraceRb::Children)

  Dir[File.join(Support::DDTraceRb::FOLDER, "work", "*.rb")].each do |file|
    Support::DDTraceRb::WAYS.each do |way|
      context "of #{File.basename(file, ".rb").tr("_", " ")}, by #{way}," do
        let(:expected) { traced[[children, "http", file]] }
        let(:arrived) { traced[[children, way, file]] }

        it "arrive the same" do
          expect(expected.first).not_to be_empty
          expect(arrived.first.map { |chunk| chunk.map { |span| span["name"] } })
            .to eq(expected.first.map { |chunk| chunk.map { |span| span["name"] } })
          arrived.first.flatten.zip(expected.first.flatten) { |span, original| expect(span).to eq(original) }
        end

        it "arrive with the same headers" do
          expect(arrived.last.map { |headers| headers.except(*container) })
            .to eq(expected.last.map { |headers| headers.except(*container) })
        end
      end
    end
  end

  it "name the same container" do
    file = File.join(Support::DDTraceRb::FOLDER, "work", "partial_flush.rb")
    theirs, ours = %w[http writer].map { |way| traced[[children, way, file]].last.first.slice(*container) }

    expect(ours).to eq(theirs)
  end
end
