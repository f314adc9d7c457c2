# frozen_string_literal: true

require "objspace"

# Where objects have their instance variables is found out from one of a kind and believed of the next.
RSpec.describe Datadog::NativeExport::TraceChunks, "#push_trace and the instance variables of spans" do
  # Text last, so that none of it is taken for something else when it is read from the place of another.
  fields = { id: 1, trace_id: 1, meta: { "a" => "b" }, name: "n", service: "s", resource: "r", type: "t" }
  number = 0

  def object(kind, fields) = Support::TracerSpan.object(kind, **fields)

  # The fields of each span that arrives. The block is called between the traces.
  def arrived(traces)
    chunks = described_class.new
    traces.each_with_index do |spans, index|
      yield if block_given? && index.positive?
      expect(chunks.push_trace(spans)).to be(true)
    end
    deliver(chunks).spans.map { |span| fields_of(span) }
  end

  def fields_of(span)
    id, *texts = span.values_at("span_id", "name", "service", "resource", "type")
    [id, texts.map(&:to_s), span["meta"].to_h["a"]]
  end

  def expected(spans)
    spans.map do |fields|
      [fields[:id], fields.values_at(:name, :service, :resource, :type).map(&:to_s), fields[:meta].to_h["a"]]
    end
  end

  # Objects of one class, each with a number of its own in all of its text.
  kinds = {
    "all of them" => ->(span) { span },
    "another order" => ->(span) { span.to_a.reverse.to_h },
    "none of some" => ->(span) { span.except(:service, :meta) },
    "none of the last" => ->(span) { span.except(:type, :meta) },
    "one that nobody asked for" => ->(span) { { first: 0, **span } },
    "one more at the end" => ->(span) { { **span, last: "x" } },
    "more than are remembered" => ->(span) { { **Array.new(40) { |i| [:"v#{i}", i] }.to_h, **span } },
    "as many others before" => ->(span) { { **Array.new(3) { |i| [:"w#{i}", "w"] }.to_h, **span.except(:type) } }
  }
  spans = lambda do
    kinds.values.map do |change|
      number += 1
      change.call(fields.merge(id: number, name: "n#{number}", service: "s#{number}", resource: "r#{number}",
                               type: "t#{number}", meta: { "a" => "b#{number}" }))
    end
  end

  kinds.each_with_index do |(first, _), index|
    it "reads objects of one class whose first has #{first}" do
      kind = Class.new
      traces = Array.new(3) { spans.call.rotate(index).flat_map { |span| [span] * 2 } }
      expect(arrived(traces.map { |trace| trace.map { |span| object(kind, span) } })).to eq expected(traces.flatten)
    end
  end

  it "reads what was removed and set again" do
    kind = Class.new
    objects = Array.new(4) { object(kind, fields) }
    [0, 2].each do |i|
      objects[i].remove_instance_variable(:@service)
      objects[i].instance_variable_set(:@other, 1)
    end
    objects[2].instance_variable_set(:@service, "again")

    services = ["", "s", "again", "s"]
    traces = Array.new(4) { |turn| [objects.rotate(turn), services.rotate(turn)] }
    trace = ->(texts) { texts.map { |service| { **fields, service: } } }
    expect(arrived(traces.map(&:first))).to eq(expected(traces.flat_map { |_, texts| trace.call(texts) }))
  end

  it "reads objects of one class in more orders than Ruby keeps shapes for" do
    kind = Class.new
    trace = Array.new(30) { |i| { "only#{i}": i, **fields, id: i + 1, service: "s#{i}", name: "n#{i}" } }
    orders = [trace, trace.map { |span| span.to_a.reverse.to_h }, trace.reverse]
    expect(arrived(orders.map { |order| order.map { |span| object(kind, span) } })).to eq(expected(orders.flatten))
  end

  it "reads objects with singleton classes, and of subclasses" do
    kind = Class.new
    singleton = object(kind, fields).tap { |span| def span.odd = 1 }
    subclass = object(Class.new(kind), fields.to_a.reverse.to_h)
    plain = object(kind, fields)

    trace = [plain, singleton, subclass, plain, subclass, singleton]
    expect(arrived([trace, trace.reverse])).to eq(expected([fields] * 12))
  end

  it "reads objects of a class that has the place of one that is gone" do
    place = ->(kind) { ObjectSpace.dump(kind)[/"address":"(\w+)"/, 1] }
    pushed = lambda do
      kind = Class.new
      described_class.new.push_trace([object(kind, fields)] * 2)
      place.call(kind)
    end
    filling = []
    successor = Array.new(30).each do
      filling << Array.new(GC.stat(:heap_free_slots)) { Object.new }
      # Its stack goes with it, on which the garbage collector would find the class.
      gone = Fiber.new(&pushed).resume
      GC.start
      found = Array.new(500) { Class.new }.find { |kind| place.call(kind) == gone }
      break found if found
    end
    skip "no class has come to the place of another" unless successor.is_a?(Class)

    other_order = [*fields.first(3), *fields.to_a.last(4).reverse].to_h
    expect(arrived([[object(successor, other_order)]])).to eq expected([fields])
  end

  it "keeps the classes that it knows by where they are, and no more than 32" do
    skip "only Ruby 3.1 knows objects by their class" unless RUBY_VERSION.start_with?("3.1.")
    skip "no class is known" if ENV["DD_NATIVE_EXPORT_PRIVATE_LAYOUTS"] == "0"

    output, errors, = run_ruby(<<~RUBY)
      require #{File.expand_path("../support/tracer_span", __dir__).inspect}
      span = Support::TracerSpan.build
      names, get = %i[instance_variables instance_variable_get].map { |name| Kernel.instance_method(name) }
      classes = ObjectSpace::WeakMap.new
      # Its stack goes with it, on which the garbage collector would find the classes.
      Fiber.new do
        100.times do
          kind = Class.new
          classes[kind] = kind
          objects = Array.new(2) do
            names.bind_call(span).each_with_object(kind.new) do |name, object|
              object.instance_variable_set(name, get.bind_call(span, name))
            end
          end
          Datadog::NativeExport::TraceChunks.new.push_trace(objects, strict: true)
        end
      end.resume
      GC.start
      puts classes.size
    RUBY

    expect([errors, output.to_i]).to match(["", be_between(20, 40)])
  end

  it "reads them wherever the garbage collector has moved objects and classes" do
    kind = Class.new
    before = Array.new(20) { |i| object(kind, { **fields, id: i + 1 }) }
    first = arrived([before])
    expect(arrived([before, before]) { GC.compact }).to eq first * 2
  rescue NotImplementedError
    skip "this Ruby can't compact its heap"
  end
end
