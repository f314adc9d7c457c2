# frozen_string_literal: true

module Support
  # Objects with the instance variables of dd-trace-rb's spans, whose methods all raise: none of them
  # may be called.
  module TracerSpan
    # What dd-trace-rb wraps structured tags in.
    class Metastruct < BasicObject
    end

    class Object < BasicObject
    end

    class << self
      def build(name: "web.request", id: 1, trace_id: 1, **variables)
        defaults = {
          name:, service: "shop", resource: "GET /", type: "web", id:, parent_id: 0, trace_id:, meta: {}, metrics: {},
          metastruct: nil, status: 0, start_time: Time.at(1_700_000_000), end_time: nil, duration: 0.25, links: [],
          events: []
        }
        object(**defaults, **variables)
      end

      # From the Hash of a recorded span.
      def recorded(span)
        span = span.transform_keys(&:to_sym)
        span[:metastruct] &&= object(Metastruct, metastruct: span[:metastruct])
        span[:links] = span[:links].map { |link| object(**link) }
        span[:events] = span[:events].map { |event| object(**event) }
        object(**span)
      end

      def object(kind = Object, **variables)
        object = kind.allocate
        variables.each { |name, value| SET.bind_call(object, "@#{name}", value) }
        object
      end

      SET = ::Object.instance_method(:instance_variable_set)
      private_constant :SET
    end
  end
end
