# frozen_string_literal: true

require "fileutils"
require "msgpack"
require "open3"
require "rbconfig"
require "tmpdir"
require_relative "corpus"
require_relative "test_agent"

module Support
  # Children with the real dd-trace-rb: from the checkout that DD_TRACE_RB names, or else the `datadog` gem.
  module DDTraceRb
    CHECKOUT = ENV.fetch("DD_TRACE_RB", nil)
    FOLDER = File.expand_path("dd_trace_rb", __dir__)
    # What would change how the tracer is configured.
    UNSET = ENV.keys.grep(/\A(_?DD_|OTEL_|RACK_ENV\z)/).to_h { |name| [name, nil] }

    # How dd-trace-rb is made to export in a child, see prelude.rb.
    WAYS = %w[transport writer enable].freeze

    # The process that has all of them for children, see nursery.rb.
    class Nursery
      Ended = Struct.new(:success, :shown, keyword_init: true) do
        alias_method :success?, :success
        alias_method :to_s, :shown
      end

      def initialize(...)
        @requests, @answers, = Open3.popen2(...)
      end

      def run(**request)
        @requests.puts(JSON.generate(request))
        answer = @answers.gets or raise "dd-trace-rb can't be loaded"
        Ended.new(**JSON.parse(answer, symbolize_names: true))
      end
    end

    class << self
      # Why specs with dd-trace-rb can't run, or nil.
      def absent
        return "DD_TRACE_RB: #{CHECKOUT} has no lib/datadog.rb" if CHECKOUT && !File.file?("#{CHECKOUT}/lib/datadog.rb")
        return if CHECKOUT || installed?("datadog")

        "dd-trace-rb is not at hand: DD_TRACE_RB names no checkout, and there is no `datadog` gem"
      end

      # Runs a script in a Ruby that has dd-trace-rb and `prelude.rb` loaded. Returns what it printed, what it
      # printed as errors, and how it ended.
      def run(script, *arguments)
        Dir.mktmpdir do |folder|
          output, errors = %w[output errors].map { |name| File.join(folder, name) }
          @nursery ||= Nursery.new(UNSET, *command, File.join(FOLDER, "nursery.rb"))
          ended = @nursery.run(script:, output:, errors:, arguments: arguments.map(&:to_s))
          [File.read(output), File.read(errors), ended]
        end
      end

      # Ruby, with what it needs to load both gems.
      def command = [RbConfig.ruby, *load_path.flat_map { |path| ["-I", path] }]

      private

      def load_path
        [Processes::LIB, *(["#{CHECKOUT}/lib"] if CHECKOUT), *(stub if CHECKOUT && !installed?("libdatadog"))]
      end

      # dd-trace-rb goes without libdatadog's binaries, but not without the gem's version.
      def stub
        @stub ||= Dir.mktmpdir.tap do |folder|
          pid = Process.pid
          # Not where a child ends that another spec has forked.
          at_exit { FileUtils.remove_entry(folder) if Process.pid == pid }
          File.write(File.join(folder, "libdatadog.rb"), <<~RUBY)
            module Libdatadog
              VERSION = "0"
              def self.method_missing(*) = nil
              def self.respond_to_missing?(*) = true
            end
          RUBY
        end
      end

      def installed?(name) = Gem::Specification.find_all_by_name(name).any?
    end

    # For examples that run such children.
    module Children
      def agent = TestAgent.shared

      # What a child printed that traced to an agent; by default the test agent, in a session of its own. It has
      # to end well, and with so many lines of errors, which are added under "errors".
      def trace_with(way, script, agent: self.agent.url, token: self.agent.start_session, errors: 0)
        output, log, status = DDTraceRb.run(script, way, agent, token)
        raise "child failed: #{status}\n#{log}" unless status.success? && [*errors].include?(log.lines.size)

        errors == 0 ? output : [output, log]
      end

      # What a child with an agent of its own, or none, reported as JSON.
      def report(way, script, errors: 0)
        output, log = trace_with(way, script, agent: "", token: "", errors:)
        # Before that, early versions may have logged to standard output.
        JSON.parse(output.lines.last.to_s).merge({ "errors" => log }.compact)
      end

      # Chunks of spans that arrived in a session, in the order in which they began.
      def chunks(token)
        trace_requests(token).flat_map { |request| MessagePack.unpack(request["body"]) }
                             .sort_by { |chunk| chunk.map { |span| span["start"] }.min }
      end

      def trace_requests(token)
        agent.requests(token).select { |request| request["url"].end_with?("traces") && request["body"] != "\x90".b }
      end

      # The same with ids, times and what tells processes apart replaced by what can be compared.
      def comparable(chunks)
        Comparable.new(chunks).to_a
      end
    end

    # Makes what different processes have traced alike.
    class Comparable
      # Differ from run to run.
      VOLATILE = %w[
        runtime-id process_id _dd.p.tid sidekiq.job.id sidekiq.job.delay rails.db.runtime rails.view.runtime
        active_job.job.id _dd.tags.process
      ].freeze

      def initialize(chunks)
        @chunks = chunks.map { |chunk| chunk.map { |span| Corpus.normalize(span) } }
        spans = @chunks.flatten.sort_by { |span| span["start"] }
        @spans = number(spans, "span_id")
        @traces = number(spans, "trace_id")
      end

      def to_a
        @chunks.map { |chunk| chunk.map { |span| comparable(span) } }
      end

      private

      def number(spans, field)
        spans.map { |span| span[field] }.uniq.each_with_index.to_h { |id, index| [id, "#{field} #{index}"] }
      end

      def comparable(span)
        raise "no time: #{span}" unless span.delete("start").positive? && !span.delete("duration").negative?

        events = events(span)
        span.merge(
          "trace_id" => trace(span["trace_id"]), "span_id" => @spans[span["span_id"]], "events" => events,
          "parent_id" => @spans.fetch(span["parent_id"], span["parent_id"]),
          "span_links" => span["span_links"].map { |link| link(link) },
          "meta" => masked(span["meta"]), "metrics" => masked(span["metrics"])
        )
      end

      # Whether an agent takes events as they are is found out while traces are sent already.
      def events(span)
        typed = span.delete("span_events").map do |event|
          event.merge("attributes" => event["attributes"].transform_values { |value| plain(value) })
        end
        json = span["meta"].delete("events") || []
        (typed + json).map { |event| { "attributes" => {} }.merge(event) }
      end

      def plain(value)
        return value unless value.is_a?(Hash)

        array = value["array_value"] and return array["values"].map { |element| plain(element) }
        value.reject { |key, _| key == "type" }.values.first
      end

      def link(link)
        link.merge("trace_id" => trace(link["trace_id"]), "trace_id_high" => link["trace_id_high"].positive?,
                   "span_id" => @spans.fetch(link["span_id"], link["span_id"]))
      end

      def trace(id) = @traces.fetch(id, id)

      def masked(tags)
        tags.to_h { |key, value| [key, VOLATILE.include?(key) ? "present" : value] }
      end
    end
  end
end

# Describes dd-trace-rb with this gem, where dd-trace-rb is at hand.
RSpec.shared_context "with dd-trace-rb" do
  include Support::DDTraceRb::Children

  before do
    skip(Support::DDTraceRb.absent) if Support::DDTraceRb.absent
    skip("DDAPM_TEST_AGENT is not set; bin/test sets it") if Support::TestAgent::EXECUTABLE.nil?
  end
end
