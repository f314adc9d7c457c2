# frozen_string_literal: true

RSpec.describe "Ruby's private layouts" do
  def used?(env)
    output, errors, = run_ruby("print Datadog::NativeExport.private_layouts?", env:)
    raise errors unless errors.empty?

    output
  end

  let(:switch) { "DD_NATIVE_EXPORT_PRIVATE_LAYOUTS" }

  it "are not used where they are switched off" do
    expect(used?({ switch => "0" })).to eq("false")
  end

  it "are used otherwise, by the Rubies whose layouts are known" do
    known = RUBY_VERSION.match?(/\A3\.[1-4]\./) && [nil].pack("p").size == 8

    expect(used?({ switch => nil })).to eq(known.to_s)
  end
end
