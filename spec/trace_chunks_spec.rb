# frozen_string_literal: true

RSpec.describe Datadog::NativeExport::TraceChunks do
  subject(:chunks) { described_class.new(capacity: 2) }

  let(:errors) { Datadog::NativeExport }

  it "counts chunks and spans" do
    expect(chunks).to be_empty
    chunks.begin_chunk(capacity: 10).push_span(build_span)
    chunks << build_span << build_span
    chunks.begin_chunk.push_span(build_span(trace_id: 2))

    expect(chunks).to have_attributes(size: 2, span_count: 4, empty?: false, consumed?: false)
  end

  it "returns itself" do
    expect(chunks.begin_chunk).to equal(chunks)
    expect(chunks.push_span(build_span)).to equal(chunks)
  end

  it "consumes the spans" do
    span = build_span
    expect { chunks.begin_chunk << span }.to change(span, :consumed?).from(false).to(true)

    expect { span.set_meta("k", "v") }.to raise_error(errors::ConsumedError, /span was handed over/)
    expect { span.set_metric("k", 1) }.to raise_error(errors::ConsumedError)
    expect { chunks << span }.to raise_error(errors::ConsumedError)
    expect(chunks.span_count).to eq(1)
  end

  it "leaves a span usable that it does not take" do
    span = build_span(trace_id: 2)

    expect { chunks << span }.to raise_error(errors::Error, "call begin_chunk before push_span")
    chunks.begin_chunk << build_span(trace_id: 1)
    expect { chunks << span }.to raise_error(ArgumentError, /trace_id: .* got 0x2 in a chunk of 0x1/)
    expect { chunks << span.freeze }.to raise_error(FrozenError)
    expect(span).not_to be_consumed
    expect(chunks.span_count).to eq(1)
  end

  it "refuses what is no span", :untyped do
    expect { chunks.begin_chunk << "span" }
      .to raise_error(TypeError, "span: expected Datadog::NativeExport::Span, got String")
  end

  it "is consumed by an exporter" do
    build_exporter("http://127.0.0.1:#{free_port}").export(chunks)

    expect(chunks).to be_consumed
    %i[size span_count empty? begin_chunk].each do |method|
      expect { chunks.public_send(method) }.to raise_error(errors::ConsumedError, /TraceChunks was handed over/)
    end
    expect { chunks << build_span }.to raise_error(errors::ConsumedError)
  end

  it "takes a capacity as advice", :untyped do
    expect { described_class.new(capacity: 1 << 80).begin_chunk(capacity: 1 << 62) }.not_to raise_error
    expect { described_class.new(capacity: -1) }
      .to raise_error(ArgumentError, /capacity: expected 0 or more, got Integer \(-1\)/)
    expect { chunks.begin_chunk(capacity: "3") }.to raise_error(TypeError, "capacity: expected Integer, got String")
  end

  it "has one owner" do
    expect { chunks.dup }.to raise_error(TypeError, /can't copy/)
    expect { Marshal.dump(chunks) }.to raise_error(TypeError)
  end
end
