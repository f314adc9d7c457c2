# frozen_string_literal: true

require "fileutils"
require "tmpdir"

RSpec.describe "The compiled library" do
  around do |example|
    Dir.mktmpdir do |folder|
      @folder = folder
      # The gem as it is installed without a library.
      FileUtils.cp_r(File.join(Support::Processes::LIB, "datadog"), folder)
      example.run
    end
  end

  def place(path, text)
    file = File.join(@folder, "datadog_native_export", path)
    FileUtils.mkdir_p(File.dirname(file))
    File.write(file, text)
  end

  def run(script, env: {}, lib: @folder)
    output, errors, status = capture(env, RbConfig.ruby, "-I", lib, "-e", script)
    expect(status).to be_success, errors
    [output, errors]
  end

  def load_error(**options)
    run(<<~RUBY, **options).first.chomp
      require "datadog/native_export"
      puts Datadog::NativeExport.available? ? "available" : Datadog::NativeExport.load_error.message
    RUBY
  end

  minor = RUBY_VERSION[/\A\d+\.\d+/]

  it "may be left out" do
    expect(load_error).to start_with("no native extension for ruby #{minor} is installed")
  end

  it "is this Ruby's where there are several" do
    place("#{minor}/datadog_native_export.rb", 'raise LoadError, "this Ruby"')
    place("datadog_native_export.rb", 'raise LoadError, "any Ruby"')

    expect(load_error).to eq("this Ruby")
  end

  it "may be the only one" do
    place("datadog_native_export.rb", 'raise LoadError, "any Ruby"')

    expect(load_error).to eq("any Ruby")
  end

  it "isn't said to be missing when the system can't load it" do
    place("#{minor}/datadog_native_export.#{RbConfig::CONFIG["DLEXT"]}", "not a library")

    expect(load_error).to include("#{minor}/datadog_native_export").and match(/too short|header|format/)
  end

  describe "with DD_NO_NATIVE_EXPORT_EXTENSION" do
    it "is loaded when the variable is empty, 0 or false" do
      loaded = ["", "0", "false"].map do |value|
        load_error(env: { "DD_NO_NATIVE_EXPORT_EXTENSION" => value }, lib: Support::Processes::LIB)
      end

      expect(loaded).to all eq("available")
    end

    it "isn't loaded otherwise, and the tracer keeps its own transport" do
      stand_in = File.expand_path("support/tracer_stand_in", __dir__)
      output, errors = run(<<~RUBY, env: { "DD_NO_NATIVE_EXPORT_EXTENSION" => "1" }, lib: Support::Processes::LIB)
        require #{stand_in.inspect}
        require "datadog/native_export"
        p Datadog::NativeExport.available?, Datadog::NativeExport.enable!, Datadog.configuration.tracing.writer
      RUBY

      expect(output).to eq("false\nfalse\nnil\n")
      expect(errors.lines.size).to eq(1)
      expect(errors).to end_with("datadog-native-export: off, the tracer keeps its own transport: " \
                                 "DD_NO_NATIVE_EXPORT_EXTENSION=1 switches the native extension off\n")
    end
  end
end
