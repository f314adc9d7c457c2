# frozen_string_literal: true

require "json"
require "msgpack"
require "zlib"

module Support
  # Spans recorded from dd-trace-rb, with what its own transport sent for them. See fixtures/README.md.
  module Corpus
    FILE = File.expand_path("../fixtures/dd-trace-rb-v04.json.gz", __dir__)

    # One recorded trace: `spans` are Hashes of the instance variables of dd-trace-rb's spans.
    Case = Struct.new(:name, :spans, :typed, :json, keyword_init: true) do
      # The trace, rebuilt with this gem's classes.
      def chunks
        chunks = Datadog::NativeExport::TraceChunks.new.begin_chunk(capacity: spans.size)
        spans.each { |span| chunks << Corpus.build(span) }
        chunks
      end
    end

    class << self
      def cases
        @cases ||= JSON.parse(Zlib.gunzip(File.binread(FILE)))["cases"].map do |recorded|
          Case.new(
            name: recorded["name"],
            spans: recorded["spans"].map { |span| span.transform_values { |value| read(value) } },
            typed: MessagePack.unpack(recorded["payload_native_events"].unpack1("m")),
            json: MessagePack.unpack(recorded["payload"].unpack1("m"))
          )
        end
      end

      def build(span)
        Datadog::NativeExport::Span.new(
          **span.slice("name", "service", "type", "trace_id", "parent_id", "meta", "metrics").transform_keys(&:to_sym),
          # Here nil stands for the name, there for nothing.
          resource: span["resource"] || "",
          span_id: span["id"], error: span["status"], start: span["start_time"],
          duration: ((span["duration"] || (span["end_time"].to_r - span["start_time"].to_r)) * 1_000_000_000).to_i,
          meta_struct: span["metastruct"],
          links: span["links"].map { |link| link_keywords(link) },
          events: span["events"].map { |event| event.transform_keys(&:to_sym) }
        )
      end

      # A decoded span in which what is absent and what has its default look the same.
      def normalize(span)
        span = { "parent_id" => 0, "error" => 0, "meta" => {}, "metrics" => {}, "meta_struct" => {},
                 "span_links" => [], "span_events" => [] }.merge(span)
        %w[name service resource type].each { |key| span[key] ||= "" }
        span.merge(
          "meta" => normalize_meta(span["meta"]),
          "metrics" => span["metrics"].transform_values(&:to_f),
          "meta_struct" => span["meta_struct"].transform_values { |bytes| MessagePack.unpack(bytes) },
          "span_links" => span["span_links"].map { |link| normalize_link(link) },
          "span_events" => span["span_events"].map { |event| { "attributes" => {} }.merge(event) }
        )
      end

      private

      def normalize_meta(meta)
        meta = meta.reject { |key, _| key == "_dd.sdk.otlp_export" }
        meta["events"] = JSON.parse(meta["events"]) if meta.key?("events")
        meta
      end

      def normalize_link(link)
        { "trace_id_high" => 0, "attributes" => {}, "tracestate" => "", "flags" => 0 }
          .merge(link.compact).reject { |key, _| key == "dropped_attributes_count" }
      end

      def link_keywords(link)
        {
          trace_id: link["trace_id"], span_id: link["span_id"], attributes: link["attributes"],
          tracestate: link["trace_state"], flags: link["trace_flags"]
        }
      end

      # rubocop:disable Metrics/CyclomaticComplexity -- a tag a line
      def read(tagged)
        value = tagged["v"]
        case tagged["t"]
        when "nil" then nil
        when "bool" then value
        when "int" then Integer(value)
        when "float" then [value].pack("H*").unpack1("G")
        when "rational" then Rational(value.is_a?(Array) ? value.join("/") : value)
        when "sym" then value.to_sym
        when "str" then read_string(tagged)
        when "time" then Time.at(Integer(tagged["sec"]), tagged["nsec"], :nanosecond)
        when "array" then value.map { |element| read(element) }
        when "hash" then value.to_h { |pair| pair.map { |element| read(element) } }
        when "link", "event" then value.transform_values { |field| read(field) }
        else raise "unknown tag #{tagged["t"]}"
        end
      end
      # rubocop:enable Metrics/CyclomaticComplexity

      def read_string(tagged)
        string = tagged["b64"].unpack1("m").force_encoding(tagged["enc"])
        tagged["frozen"] ? -string : string
      end
    end
  end
end
