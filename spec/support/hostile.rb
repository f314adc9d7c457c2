# frozen_string_literal: true

module Support
  # Generated spans, with everything that Ruby lets somebody put into one, and what has to arrive.
  class Hostile
    # Every encoding that Ruby has, dummies included.
    ENCODINGS = Encoding.list.freeze
    SAMPLES = ["", "plain", "nul\0inside", "é", "日本語", "🎉", "\r\n\t\"\\", "x" * 300].freeze
    StringSubclass = Class.new(String)
    HashSubclass = Class.new(Hash)

    def initialize(seed)
      @random = Random.new(seed)
    end

    # Keywords for Span.new.
    def span
      {
        name: text, service: maybe(text), resource: text, type: maybe(text), trace_id: integer(1, 64),
        span_id: integer(1, 64), parent_id: integer(0, 64), start: integer(0, 63), duration: integer(0, 63),
        error: integer(0, 31), meta: hash { maybe(text) }, metrics: hash { number },
        # ddapm-test-agent, unlike the agent, looks into meta_struct and takes nothing but maps.
        meta_struct: hash { { text => structure(3) } },
        links: Array.new(pick([0, 0, 1, 3])) { link }, events: Array.new(pick([0, 0, 1, 3])) { event }
      }
    end

    private

    def pick(values) = values[@random.rand(values.size)]

    def maybe(value) = @random.rand < 0.1 ? nil : value

    def integer(lowest, bits)
      [lowest, (1 << bits) - 1, lowest + @random.rand(1 << @random.rand(1..bits - 1))][@random.rand(3)]
    end

    def number
      pick([0, -1, 1.5, -0.0, Float::MAX, Float::MIN, Float::INFINITY, Float::NAN, 1 << 70, -(1 << 70), Rational(1, 3),
            nil])
    end

    def text
      case @random.rand(6)
      when 0 then pick(SAMPLES)
      when 1 then -pick(SAMPLES)
      when 2 then StringSubclass.new(pick(SAMPLES))
      when 3 then pick(SAMPLES).to_sym
      when 4 then encoded(pick(SAMPLES))
      else @random.bytes(@random.rand(20)).force_encoding(pick(ENCODINGS))
      end
    end

    # The sample in another encoding, if that has its characters.
    def encoded(sample)
      sample.encode(pick(ENCODINGS))
    rescue EncodingError
      sample.dup
    end

    def hash
      pairs = Array.new(pick([0, 1, 3, 10, 60])) { [text, yield] }
      case @random.rand(4)
      when 0 then pairs.to_h.freeze
      when 1 then HashSubclass.new { |_, key| raise "asked for #{key}" }.merge!(pairs.to_h)
      when 2 then pairs.each_with_object({}.compare_by_identity) { |(key, value), all| all[key] = value }
      else pairs.to_h
      end
    end

    def structure(depth)
      case @random.rand(depth.zero? ? 5 : 7)
      when 0 then text
      when 1 then pick([0, -1, (1 << 64) - 1, -(1 << 63), 127, 128, -33, 70_000])
      when 2 then pick([1.5, Float::INFINITY, Float::NAN, -0.0])
      when 3 then pick([nil, true, false])
      when 4 then @random.bytes(5)
      when 5 then Array.new(@random.rand(5)) { structure(depth - 1) }
      # Nor does it take Integers as keys.
      else Array.new(@random.rand(5)) { [text, structure(depth - 1)] }.to_h
      end
    end

    def link
      {
        trace_id: integer(1, 128), span_id: integer(1, 64), tracestate: maybe(text), flags: maybe(integer(0, 31)),
        attributes: hash { pick([text, 1, 2.5, true, nil, [1, [2, text]]]) }
      }
    end

    def event
      {
        name: text, time_unix_nano: integer(0, 64),
        attributes: hash { pick([text, 1, 1 << 64, 2.5, Float::NAN, true, nil, [1, 2], %w[a b], [1, "a"], [text], {}]) }
      }
    end
  end
end
