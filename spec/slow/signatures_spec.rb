# frozen_string_literal: true

require "yard"

# Each public method has a signature, and each signature names one. That values have the types that it names is
# seen by `rake spec:signatures`.
RSpec.describe "The signatures" do
  let(:signatures) { printed_by("signatures") }
  let(:interface) { printed_by("interface") }

  # What is public only for other files of this gem.
  let(:internal) do
    YARD::Registry.clear
    YARD.parse("#{Support::Processes::LIB}/**/*.rb", [], Logger::ERROR)
    paths = YARD::Registry.all.select { |object| object.tag(:api)&.text == "private" }.map(&:path)
    /\A#{Regexp.union(paths)}(?=\W|\z)/
  end

  def printed_by(name)
    output, errors, status = capture(RbConfig.ruby, "-I", Support::Processes::LIB, "#{__dir__}/../support/#{name}.rb")
    raise errors unless status.success?

    JSON.parse(output)
  end

  it "declare what is public, and nothing else" do
    public_names = interface.grep_v(internal)
    open = public_names.filter_map { |name| name[/.*(?=\(\*\*\)\z)/] }
    declared = signatures["names"].map { |name| open.include?(name[/\A[^(]+/]) ? "#{name[/\A[^(]+/]}(**)" : name }

    expect(declared).to match_array(public_names)
  end

  it "declare each counter" do
    stats = Datadog::NativeExport::Exporter.new(agent_url: "http://127.0.0.1:1").stats

    expect(signatures["counters"]).to match_array(stats.keys.map(&:to_s))
  end
end
