# frozen_string_literal: true

RSpec.describe "Requiring datadog/native_export/testing" do
  it "loads nothing else of the gem" do
    script = 'require "datadog/native_export/testing"; puts $LOADED_FEATURES.grep(/native_export/)'
    output, = capture("ruby", "-I", Support::Processes::LIB, "-e", script)

    expect(output.lines).to all(match(%r{native_export/testing[/.]})).and include(/agent/)
  end

  it "says what to install when msgpack is missing" do
    script = <<~RUBY
      def require(name)
        name == "msgpack" ? raise(LoadError.new.tap { |error| def error.path = "msgpack" }) : super
      end
      require "datadog/native_export/testing"
    RUBY
    _, error, status = capture("ruby", "-I", Support::Processes::LIB, "-e", script)

    expect(status).not_to be_success
    expect(error).to include("LoadError").and include("gem install msgpack")
  end
end
