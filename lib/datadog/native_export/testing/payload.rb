# frozen_string_literal: true

begin
  require "msgpack"
rescue LoadError => e
  raise unless e.path == "msgpack"

  raise LoadError, "datadog/native_export/testing needs the msgpack gem to decode traces: add " \
                   "`gem \"msgpack\"` to the Gemfile's test group, or run `gem install msgpack`"
end

module Datadog
  module NativeExport
    module Testing
      # Decodes the body of a `/v0.4/traces` request. Checks types as strictly as agents do: a payload that an agent
      # would refuse must not pass a test.
      # @api private
      module Payload
        class Invalid < StandardError; end

        STRING = lambda do |value|
          value.is_a?(String) && value.encoding == Encoding::UTF_8 && value.valid_encoding?
        end
        BINARY = ->(value) { value.is_a?(String) && value.encoding == Encoding::BINARY }
        NUMBER = ->(value) { value.is_a?(Integer) || value.is_a?(Float) }
        MAPS = ->(value) { value.is_a?(Array) && value.all?(Hash) }
        integer = ->(range) { ->(value) { value.is_a?(Integer) && range.cover?(value) } }
        map = lambda do |type|
          ->(value) { value.is_a?(Hash) && value.keys.all?(STRING) && value.values.all?(type) }
        end
        id = integer[0...2**64]
        nanoseconds = integer[-2**63...2**63]

        FIELDS = {
          "service" => STRING, "name" => STRING, "resource" => STRING, "type" => STRING,
          "trace_id" => id, "span_id" => id, "parent_id" => id,
          "start" => nanoseconds, "duration" => nanoseconds, "error" => integer[-2**31...2**31],
          "meta" => map[STRING], "metrics" => map[NUMBER], "meta_struct" => map[BINARY],
          "span_links" => MAPS, "span_events" => MAPS
        }.freeze

        class << self
          # @param body [String] MessagePack bytes
          # @return [Array<Array<Hash{String => Object}>>] traces, with `meta_struct` values decoded
          # @raise [Invalid] if an agent would refuse the body
          def decode(body)
            traces = unpack(body)
            traces.is_a?(Array) && traces.all?(Array) or raise Invalid, "not an array of arrays of spans"
            traces.map { |spans| spans.map { |span| decode_span(span) } }
          end

          private

          def decode_span(span)
            span.is_a?(Hash) or raise Invalid, "not a map of a span's fields: #{span.inspect[0, 80]}"
            span.each { |field, value| check(field, value) }
            return span unless span["meta_struct"]

            span.merge("meta_struct" => span["meta_struct"].transform_values { |bytes| unpack(bytes) })
          end

          # Agents take nil for the field's default and skip unknown fields.
          def check(field, value)
            STRING.call(field) or raise Invalid, "a span's key is not a string: #{field.inspect[0, 80]}"
            return if value.nil? || !FIELDS.key?(field) || FIELDS[field].call(value)

            raise Invalid, "a span's #{field} has the wrong type: #{value.inspect[0, 80]}"
          end

          def unpack(bytes)
            MessagePack.unpack(bytes)
          rescue MessagePack::UnpackError, EOFError => e
            raise Invalid, "not MessagePack: #{e.message}"
          end
        end
      end
      private_constant :Payload
    end
  end
end
