# frozen_string_literal: true

RSpec.describe Datadog::NativeExport::Span, "read back" do
  let(:span) do
    described_class.new(
      name: "web.request", service: "é".encode("ISO-8859-1"), type: :web, trace_id: 1 << 100, span_id: 2, start: 3,
      duration: 4, parent_id: 5, error: 1, meta: { a: "b" }, metrics: { m: 1 }, meta_struct: { s: [{ x: nil }] },
      links: [{ trace_id: 1 << 70, span_id: 8, attributes: { a: [1] }, flags: 1, tracestate: "t" }],
      events: [{ name: "e", time_unix_nano: 9, attributes: { list: [1.5] } }]
    )
  end
  let(:held) do
    {
      name: "web.request", service: "é", resource: "web.request", type: "web", trace_id: 1 << 100, span_id: 2,
      parent_id: 5, start: 3, duration: 4, error: 1, meta: { "a" => "b" }, metrics: { "m" => 1.0 },
      meta_struct: { "s" => [{ "x" => nil }] },
      links: [{ trace_id: 1 << 70, span_id: 8, attributes: { "a.0" => "1" }, tracestate: "t", flags: 1 }],
      events: [{ name: "e", time_unix_nano: 9, attributes: { "list" => [1.5] } }]
    }
  end

  def deeply_frozen?(value)
    inner = value.respond_to?(:each) ? value.to_a : []
    inner = inner.flatten(1) if value.is_a?(Hash)
    value.frozen? && inner.all? { |element| deeply_frozen?(element) }
  end

  it "shows what the span holds, frozen" do
    expect(span.to_h).to eq(held)
    held.each do |field, value|
      read = span.public_send(field)
      expect([read, deeply_frozen?(read)]).to eq([value, true])
    end
  end

  it "gives what makes the same span" do
    expect(described_class.new(**span.to_h).to_h).to eq(span.to_h)
  end

  it "raises for a span that was handed over" do
    Datadog::NativeExport::TraceChunks.new.begin_chunk << span

    (held.keys + [:to_h]).each do |field|
      expect { span.public_send(field) }.to raise_error(Datadog::NativeExport::ConsumedError)
    end
  end
end
