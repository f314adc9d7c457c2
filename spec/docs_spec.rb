# frozen_string_literal: true

require_relative "support/dd_trace_rb"
require_relative "support/documents"
require_relative "support/open_telemetry"

# The documents hold what they promise: samples run, tables are complete, links and paths lead somewhere.
RSpec.describe "The documents" do
  documents = Support::Documents

  describe "samples" do
    include_context "with an agent"

    let(:environment) do
      switched_off = %w[INSTRUMENTATION_TELEMETRY_ENABLED REMOTE_CONFIGURATION_ENABLED TRACE_STARTUP_LOGS]
      { **Support::DDTraceRb::UNSET, **switched_off.to_h { |name| ["DD_#{name}", "false"] },
        "DD_TRACE_AGENT_URL" => agent.url }
    end

    # Ruby, with a stand-in for dd-trace-rb where that isn't at hand.
    def ruby_for(sample)
      if sample.needs_opentelemetry?
        return [RbConfig.ruby, "-I", Support::Processes::LIB, *Support::OpenTelemetry.options]
      end
      return [RbConfig.ruby, "-I", Support::Processes::LIB] unless sample.needs_tracer?
      return Support::DDTraceRb.command unless Support::DDTraceRb.absent

      [RbConfig.ruby, "-I", Support::Processes::LIB, "-I", File.join(__dir__, "support/stand_in")]
    end

    # As written, in a fresh process, with an agent where the environment says.
    def run_sample(sample)
      Dir.mktmpdir do |folder|
        file = File.join(folder, "sample.rb")
        File.write(file, sample.code)
        capture(environment, *ruby_for(sample), file)
      end
    end

    documents.samples.each do |sample|
      absent = Support::OpenTelemetry.absent if sample.needs_opentelemetry?
      it "run: #{sample}", skip: sample.excuse || absent do
        _, errors, status = run_sample(sample)

        expect([errors, status.exitstatus]).to eq(["", 0])
        expect(agent.spans.size).to eq(sample.spans) if sample.spans
      end
    end

    it "are all found, with comments that are understood" do
      fences = documents::PATHS.sum { |path| documents.read(path).scan(/^\s*```\s*ruby/).size }
      odd = documents.samples.select { |sample| sample.comment && !sample.spans && !sample.excuse }

      expect(documents.samples.size).to eq(fences).and be > 3
      expect(odd.map(&:to_s)).to be_empty
    end
  end

  describe "tables" do
    native_export = Datadog::NativeExport

    # Without arguments.
    def names(heading)
      Support::Documents.first_column("docs/reference.md", heading).map { |call| call[/\A([\w.?]+|<<)/] }
    end

    def keywords(of) = of.instance_method(:initialize).parameters.map { |_, name| name.to_s }

    # But for the private API.
    def methods_of(of) = of.public_instance_methods(false).map(&:to_s) - %w[inspect without]

    describe "of options" do
      options = native_export.const_get(:Configuration)::Options::TABLE
      # As the document writes it; nil where that takes words.
      written = lambda do |default|
        case default
        when Symbol then "`#{default.inspect}`"
        when Integer
          mebibytes, rest = default.divmod(1024 * 1024)
          rest.zero? ? "#{mebibytes} MiB" : default.to_s.gsub(/(?<=\d)(?=(\d{3})+\z)/, ",")
        when false then "false"
        when /./ then "`#{default}`" unless default == native_export::VERSION
        end
      end

      options.each_value do |option|
        it "tell of #{option.name} its default and its variables" do
          row = documents.rows("docs/reference.md", "Options").find { |first,| first.include?("`#{option.name}`") }
          together = row[0].scan(/`(\w+)`/).flatten.map { |name| options.fetch(name.to_sym) }

          expect(row[1]).to eq(written.call(option.default) || row[1])
          expect(row[2].scan(/`(\w+)`/).flatten).to eq(together.flat_map(&:variables))
        end
      end

      it "list no others, and neither does the documentation of the code" do
        code = documents.read("lib/datadog/native_export/exporter.rb")

        expect(names("Options")).to eq(options.keys.map(&:to_s))
        expect(code.scan(/@option options \[.+\] :(\w+)/).flatten).to eq(options.keys.map(&:to_s))
      end
    end

    it "list each field of a span" do
      expect(names("Fields of a span")).to match_array(keywords(native_export::Span))
    end

    %w[Span TraceChunks Exporter].each do |name|
      it "list each method of #{name}" do
        expect(names(name)).to match_array(["#{name}.new", *methods_of(native_export.const_get(name))])
      end
    end

    it "list each method of a response" do
      expect(names("Response")).to match_array(methods_of(native_export::Response))
    end

    it "list each method of the agent for tests" do
      expect(names("Testing").uniq).to match_array(["Agent.start", *methods_of(native_export::Testing::Agent)])
    end

    it "list each error" do
      loaded = native_export.constants.reject { |name| native_export.autoload?(name) }
      errors = loaded.map { |name| native_export.const_get(name) }.grep(Class).select { |of| of < native_export::Error }

      expect(names("Errors")).to match_array(errors.map { |error| error.name[/\w+\z/] })
    end

    it "list each counter, and each reason of losses" do
      stats = native_export::Exporter.new(agent_url: "http://127.0.0.1:1").stats

      expect(documents.first_column("docs/operations.md", "Counters")).to match_array(stats.keys.map(&:to_s))
      expect(documents.first_column("docs/operations.md", "Reasons of losses"))
        .to match_array(stats[:dropped].keys.map(&:to_s))
    end
  end

  it "describe the doctor's checks, and what it writes as JSON" do
    doctor = Datadog::NativeExport.const_get(:Doctor)
    checks = Datadog::NativeExport.doctor(agent_url: "http://127.0.0.1:1", logger: Logger.new(nil)).checks
    rows = documents.rows("docs/operations.md", "The doctor")
    names = [*checks.map(&:name), *doctor::Report.new([], nil).to_h.keys]

    expect(rows.map(&:first)).to include(*names.map { |name| "`#{name}`" })
    expect(rows.assoc("`checks`")[1].scan(/`(\w+)`/).flatten).to include(*doctor::Check.members.map(&:to_s))
  end

  it "link to what is there" do
    broken = documents.links.reject do |path, target|
      file, anchor = target.split("#", 2)
      linked = file.empty? ? path : File.join(File.dirname(path), file)
      File.exist?(File.join(documents::ROOT, linked)) && (anchor.nil? || documents.anchors(linked).include?(anchor))
    end

    expect(broken).to be_empty
  end

  it "name files and folders that are there" do
    missing = documents::PATHS.to_h do |path|
      [path, documents.named_paths(path).reject { |named| File.exist?(File.join(documents::ROOT, named)) }]
    end

    expect(missing.reject { |_, paths| paths.empty? }).to be_empty
  end
end
