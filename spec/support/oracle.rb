# frozen_string_literal: true

module Support
  # What has to arrive for generated spans, worked out in Ruby from the documented rules. Spans are in
  # the form of decoded v0.4 payloads, normalized so that they can be compared.
  module Oracle
    AS_THEY_ARE = [Encoding::UTF_8, Encoding::US_ASCII, Encoding::BINARY].freeze

    class << self
      def expected(fields)
        {
          **%i[trace_id span_id parent_id start duration error].to_h { |key| [key.to_s, fields[key]] },
          "name" => utf8(fields[:name]), "service" => utf8(fields[:service]),
          "resource" => utf8(fields[:resource]), "type" => utf8(fields[:type]),
          "meta" => texts(fields[:meta]), "metrics" => metrics(fields[:metrics]),
          "meta_struct" => fields[:meta_struct].to_h { |key, value| [utf8(key), structure(value)] },
          "span_links" => fields[:links].map { |link| link(link) },
          "span_events" => fields[:events].map { |event| event(event) }
        }
      end

      # A decoded span in the same form.
      def arrived(span)
        empty = { "meta" => {}, "metrics" => {}, "meta_struct" => {}, "span_links" => [], "span_events" => [] }
        span = { "parent_id" => 0, "error" => 0, "type" => "", **empty, **span }
        span["meta"] = span["meta"].except("_dd.sdk.otlp_export")
        span["meta_struct"] = span["meta_struct"].transform_values { |bytes| structure(MessagePack.unpack(bytes)) }
        span["span_links"] = span["span_links"].map do |link|
          { "attributes" => {}, "tracestate" => "", "flags" => 0, **link }
        end
        span["span_events"] = span["span_events"].map { |event| { "attributes" => {}, **event } }
        span
      end

      private

      def utf8(text)
        return "" if text.nil?

        string = String.new(text.to_s)
        return from_bytes(string) if AS_THEY_ARE.include?(string.encoding) || string.ascii_only?

        from_bytes(string.encode(Encoding::UTF_8))
      rescue EncodingError
        begin
          from_bytes(string.encode(Encoding::UTF_8, invalid: :replace, undef: :replace))
        rescue EncodingError
          from_bytes(string)
        end
      end

      # Looks at the bytes anew: Ruby takes what it transcodes for valid.
      def from_bytes(string) = string.b.force_encoding(Encoding::UTF_8).scrub("\uFFFD")

      def texts(hash)
        hash.reject { |_, value| value.nil? }.to_a.to_h { |key, value| [utf8(key), utf8(value)] }
      end

      def metrics(hash)
        kept = hash.reject { |_, value| value.nil? || value.to_f.nan? }
        kept.to_a.to_h { |key, value| [utf8(key), value.to_f] }
      end

      def structure(value)
        case value
        when Hash then value.to_a.to_h { |key, element| [key.is_a?(Integer) ? key : utf8(key), structure(element)] }
        when Array then value.map { |element| structure(element) }
        when Float then value.nan? ? :nan : value
        when String, Symbol then binary?(value) ? value.b : utf8(value)
        else value
        end
      end

      def binary?(value)
        value.is_a?(String) && value.encoding == Encoding::BINARY &&
          !value.dup.force_encoding(Encoding::UTF_8).valid_encoding?
      end

      def link(link)
        {
          "trace_id" => link[:trace_id] & ((1 << 64) - 1), "trace_id_high" => link[:trace_id] >> 64,
          "span_id" => link[:span_id], "tracestate" => utf8(link[:tracestate]),
          "flags" => link[:flags] ? link[:flags] | (1 << 31) : 0,
          "attributes" => link[:attributes].to_a.flat_map { |key, value| flat(utf8(key), value) }.to_h
        }
      end

      def flat(key, value)
        return value.each_with_index.flat_map { |element, i| flat("#{key}.#{i}", element) } if value.is_a?(Array)

        value.nil? ? [] : [[key, utf8(value)]]
      end

      def event(event)
        attributes = event[:attributes].to_a.filter_map do |key, value|
          typed = value.is_a?(Array) ? typed_array(value) : typed(value)
          [utf8(key), typed] if typed
        end
        {
          "name" => utf8(event[:name]), "time_unix_nano" => event[:time_unix_nano], "attributes" => attributes.to_h
        }
      end

      def typed_array(values)
        values = values.map { |value| typed(value) }
        return if values.any?(&:nil?) || values.map { |value| value["type"] }.uniq.size > 1

        { "type" => 4, "array_value" => { "values" => values } }
      end

      def typed(value)
        case value
        when String, Symbol then { "type" => 0, "string_value" => utf8(value) }
        when true, false then { "type" => 1, "bool_value" => value }
        when Integer then { "type" => 2, "int_value" => value } if value.bit_length < 64
        when Float then { "type" => 3, "double_value" => value } if value.finite?
        end
      end
    end
  end
end
