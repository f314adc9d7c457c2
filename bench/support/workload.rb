# frozen_string_literal: true

# What is lowered and sent: 100 traces of 10 spans with 10 tags and 3 metrics each, unless asked otherwise. Made anew
# for each measurement, because Ruby keeps in a String what it found out about it.
module Workload
  # As in real tracers: keys are frozen literals, one object for all spans, and so are six of ten values;
  # the others are Strings of the span's own.
  SHARED = {
    "component" => "rack", "span.kind" => "server", "env" => "production", "language" => "ruby",
    "http.method" => "GET", "http.status_code" => "200"
  }.freeze
  FRESH = {
    "http.url" => ->(id) { "https://shop.example/carts/#{id}/items" },
    "http.request_id" => ->(id) { format("%032x", id) },
    "user.id" => ->(id) { (id % 100_000).to_s },
    "network.client.ip" => ->(id) { "10.#{(id >> 16) & 255}.#{(id >> 8) & 255}.#{id & 255}" }
  }.freeze
  METRICS = { "_dd.measured" => 1.0, "process_id" => 4711, "db.row_count" => 12.5 }.freeze
  # What few spans have.
  EXTRAS = %i[symbol_tag link event meta_struct_entry].freeze

  # Stands in for Datadog::Tracing::Span, with its instance variables in its order.
  class Span
    # Stand in for what dd-trace-rb's spans hold.
    Metastruct = Class.new { def initialize(metastruct) = @metastruct = metastruct }
    Link = Class.new do
      def initialize(trace_id, span_id)
        @span_id = span_id
        @trace_id = trace_id
        @attributes = { "link.kind" => "follows_from" }
        @dropped_attributes = 0
        @trace_flags = @trace_state = nil
      end
    end
    Event = Class.new do
      def initialize(time)
        @name = "exception"
        @attributes = { "exception.type" => "ArgumentError" }
        @time_unix_nano = time
      end
    end

    # @param extra [Symbol, nil] one of {EXTRAS}
    def initialize(trace_id, id, parent_id, extra)
      @name = "web.request"
      @service = "shop"
      @resource = "GET /carts/#{id % 1_000}"
      @type = "web"
      @id = id
      @parent_id = parent_id
      @trace_id = trace_id
      @meta = { **SHARED, **FRESH.transform_values { |value| value.call(id) } }
      @meta["span.kind"] = :server if extra == :symbol_tag
      @metrics = METRICS.dup
      @metastruct = Metastruct.new(extra == :meta_struct_entry ? { "appsec" => { "triggers" => ["rule"] } } : {})
      @status = 0
      @start_time = Time.at(1_700_000_000, id % 1_000_000_000, :nsec)
      @end_time = @start_time + 0.012
      @duration = 0.012345678
      @service_entry = nil
      @links = extra == :link ? [Link.new(trace_id, id + 1)] : []
      @events = extra == :event ? [Event.new(1_700_000_000_000_000_000 + id)] : []
    end

    # The same as in a v0.4 payload.
    def to_wire
      {
        "span_id" => @id, "parent_id" => @parent_id, "trace_id" => @trace_id & ((1 << 64) - 1), "name" => @name,
        "service" => @service, "resource" => @resource, "type" => @type, "meta" => @meta, "metrics" => @metrics,
        "meta_struct" => @metastruct.instance_variable_get(:@metastruct), "span_links" => @links, "error" => @status,
        **times
      }
    end

    # As Datadog::NativeExport::Span takes it.
    def to_keywords
      {
        name: @name, service: @service, resource: @resource, type: @type, trace_id: @trace_id, span_id: @id,
        parent_id: @parent_id, error: @status, **times.transform_keys(&:to_sym), meta: @meta, metrics: @metrics
      }
    end

    def text_bytes
      [@name, @service, @resource, @type, *@meta.flatten, *@metrics.keys].sum { |text| text.to_s.bytesize }
    end

    private

    def times
      nanoseconds = (@start_time.to_i * 1_000_000_000) + @start_time.nsec
      { "start" => nanoseconds, "duration" => (@duration * 1e9).to_i }
    end
  end

  class << self
    # Arrays of spans, one for each trace.
    def traces(count: 100, spans: 10, extra: nil)
      Array.new(count) do |number|
        trace_id = (0x6554f3a1 << 96) | (0x1d0c5c0f3a7b << 16) | (number + 1)
        Array.new(spans) do |i|
          id = 1_000_003 + (number << 20) + i
          Span.new(trace_id, id, i.zero? ? 0 : id - 1, extra)
        end
      end
    end
  end
end
