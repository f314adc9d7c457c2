# frozen_string_literal: true

require "fileutils"
require "json"
require "tmpdir"
require_relative "support/dd_trace_rb"
require_relative "support/fault_agent"

# As a process, against what it may find.
RSpec.describe "datadog-native-export doctor" do
  executable = File.expand_path("../exe/datadog-native-export", __dir__)
  secret = "s3cr3t"
  # Of the process that runs the specs.
  unset = ENV.keys.grep(/\A(DD|OTEL)_/).to_h { |name| [name, nil] }

  define_method(:run_command) do |*arguments, lib: Support::Processes::LIB, **env|
    capture({ **unset, "DD_TRACE_AGENT_TIMEOUT_SECONDS" => "2", **env.transform_keys(&:to_s) },
            RbConfig.ruby, "-I", lib, executable, *arguments)
  end

  # The object it writes, and the exit status.
  def doctor(url = nil, **options)
    output, errors, status = run_command("doctor", "--json", DD_TRACE_AGENT_URL: url, **options)
    expect(errors).to eq("")
    [JSON.parse(output, symbolize_names: true), status.exitstatus]
  end

  def check(report, name) = report[:checks].find { |check| check[:name] == name }

  # Raw bytes in answer to each connection, which are repeated until the client goes away if there is a `pause`.
  def raw_server(bytes, pause: nil)
    server = TCPServer.new("127.0.0.1", 0)
    thread = Thread.new do
      loop do
        Thread.new(server.accept) do |socket|
          socket.readpartial(1_000_000)
          socket.write(bytes)
          socket.write(bytes) while pause && sleep(pause)
        rescue SystemCallError, EOFError
          nil # It has gone away.
        ensure
          socket.close
        end
      end
    end
    yield "http://127.0.0.1:#{server.addr[1]}"
  ensure
    thread&.kill
    server&.close
  end

  context "with an agent that is well" do
    include_context "with an agent"

    it "shows what the agent is, that it took a trace, and what is configured by what" do
      output, errors, status = run_command("doctor", DD_TRACE_AGENT_URL: agent.url, DD_SERVICE: "shop")

      expect([errors, status.exitstatus]).to eq(["", 0])
      expect(output).to match(/^ruby +ok +CRuby #{RUBY_VERSION}/)
      expect(output).to match(/^extension +ok/)
      expect(output).to match(/^  agent_url +"#{agent.url}" +DD_TRACE_AGENT_URL$/)
      expect(output).to match(/^  agent_timeout +2.0 +DD_TRACE_AGENT_TIMEOUT_SECONDS$/)
      expect(output).to match(/^  retry_deadline +10.0 +default$/)
      expect(output).to match(%r{^agent +ok +version 7.70.0 at #{agent.url}\n  endpoints: /v0.4/traces$})
      expect(output).to match(/^  client_drop_p0s: no\n  span_events: yes$/)
      expect(output).to match(/^trace +ok +accepted with status 200 and sampling rates\n\nA trace was accepted.\n\z/)
      expect(agent.spans).to match([include("name" => "datadog_native_export.doctor", "service" => "shop")])
    end

    it "says the same as JSON" do
      report, status = doctor(agent.url)

      expect(status).to eq(0)
      expect(report).to match(ok: true, version: Datadog::NativeExport::VERSION, checks: Array, configuration: Hash)
      expect(report[:checks].map { |check| check.values_at(:name, :status, :cure) })
        .to eq(%w[ruby extension configuration agent trace].map { |name| [name, "ok", nil] })
      expect(check(report, "agent")[:details])
        .to eq(address: agent.url, status: 200, version: "7.70.0", endpoints: ["/v0.4/traces"],
               abilities: { client_drop_p0s: false, span_events: true })
      expect(check(report, "trace")[:details]).to eq(status: 200, rates: 1)
      expect(report[:configuration][:agent_url]).to eq(value: agent.url, source: "DD_TRACE_AGENT_URL")
    end

    it "warns of variables that are ignored" do
      report, status = doctor(agent.url, DD_TRACE_AGENT_TIMEOUT_SECONDS: "soon")

      expect(status).to eq(0)
      expect(check(report, "configuration"))
        .to include(status: "warning", text: /DD_TRACE_AGENT_TIMEOUT_SECONDS.*ignored/)
    end

    it "warns of an answer without sampling rates, as other servers give" do
      agent.respond_with(200, {}, "hello")
      report, status = doctor(agent.url)

      expect(status).to eq(0)
      expect(check(report, "trace")).to include(status: "warning", cure: /agent's port \(8126\)/)
    end

    {
      404 => [/no .v0\.4.traces/], 403 => [/credentials/], 413 => [/body.* size|bodies of even this size/],
      500 => [/see their logs/], 429 => [/overloaded/], 400 => [/Is the port right/]
    }.each do |status, (cure)|
      it "says what to do when a trace is answered with #{status}" do
        agent.respond_with(status, {}, "no\e[1m")
        report, exit_status = doctor(agent.url)

        expect([exit_status, report[:ok], check(report, "agent")[:status]]).to eq([1, false, "ok"])
        expect(check(report, "trace")).to include(status: "failed", cure:, details: { status:, rates: nil })
        expect(check(report, "trace")[:text]).to match(/#{status}/)
        expect(report.to_s).not_to include("\e")
      end
    end

    it "shows no secrets" do
      script = <<~RUBY
        url, secret = ARGV
        options = { agent_url: "\#{url}/\#{secret}", headers: { "X-Key" => secret }, test_session_token: secret }
        report = Datadog::NativeExport.doctor(**options)
        puts report, JSON.generate(report), report.to_h, report.inspect
        puts Datadog::NativeExport.doctor(headers: { secret => 3 }), Datadog::NativeExport.doctor(agent_url: "http://u:\#{secret}@x")
      RUBY
      output, errors, = run_ruby(script, agent.url, secret)

      expect(errors).to eq("")
      expect(output).to include("X-Key").and include("…")
      expect(output).not_to include(secret)
    end
  end

  describe "when nothing answers" do
    it "says so of a port on which nobody listens" do
      report, status = doctor(url = "http://127.0.0.1:#{free_port}")

      expect([status, report[:ok]]).to eq([1, false])
      expect(check(report, "agent")).to include(status: "failed", text: "#{url}: the connection is refused",
                                                cure: /Is the agent running/)
      expect(check(report, "trace")).to include(status: "failed", text: /Connection refused/)
    end

    it "says so of a server that hangs, in bounded time" do
      hung_agent do |url|
        report = nil
        expect(elapsed { report, = doctor(url, DD_TRACE_AGENT_TIMEOUT_SECONDS: "0.3") }).to be < 10
        expect(check(report, "agent")).to include(status: "failed", text: "#{url}: no answer in time", cure: /firewall/)
        expect(check(report, "trace")).to include(status: "failed", details: { status: nil, rates: nil })
      end
    end

    it "says so of a server that never comes to an end, in bounded time" do
      Support::FaultAgent.start do |agent|
        agent.info = { endless: true }
        agent.usual = { endless: true }
        report = nil
        expect(elapsed { report, = doctor(agent.url, DD_TRACE_AGENT_TIMEOUT_SECONDS: "0.5") }).to be < 15
        expect(check(report, "agent")[:status]).to eq("failed")
      end
    end

    it "says so of a server that drips, in bounded time" do
      raw_server("y", pause: 0.05) do |url|
        report = nil
        expect(elapsed { report, = doctor(url, DD_TRACE_AGENT_TIMEOUT_SECONDS: "0.5") }).to be < 15
        expect(check(report, "agent")).to include(status: "failed", text: "#{url}: no answer in time")
        expect(check(report, "trace")).to include(status: "failed")
      end
    end

    it "says so of a name that isn't known" do
      report, status = doctor("http://no-such-host.invalid:8126", DD_TRACE_AGENT_TIMEOUT_SECONDS: "1")

      expect(status).to eq(1)
      expect(check(report, "agent")).to include(text: /name can't be looked up|no answer in time/, cure: /DNS|firewall/)
    end

    {
      "garbage" => "\x00\xFF\xFEgarbage\n\n", "nothing" => "", "SSH" => "SSH-2.0-OpenSSH_9.2p1\r\n"
    }.each do |name, bytes|
      it "says that what answers #{name} is no agent" do
        raw_server(bytes) do |url|
          report, = doctor(url)

          expect(check(report, "agent")).to include(status: "failed", cure: /is no Datadog agent/)
        end
      end
    end

    it "says that a server without TLS has none" do
      raw_server("HTTP/1.0 400 Bad Request\r\n\r\n") do |url|
        report, status = doctor(url.sub("http:", "https:"))

        expect(status).to eq(1)
        expect(check(report, "agent")).to include(text: /TLS fails/, cure: %r{use http://})
      end
    end
  end

  describe "of another server" do
    it "says that /info isn't what an agent answers" do
      raw_server("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello") do |url|
        report, status = doctor(url)

        expect(status).to eq(0)
        expect(check(report, "agent")).to include(status: "warning", text: /not as agents do/, cure: /agent's port/)
        expect(check(report, "trace")).to include(status: "warning", text: /without sampling rates/)
      end
    end

    { 404 => "warning", 500 => "failed", 401 => "failed" }.each do |code, status|
      it "says that /info is answered with #{code}" do
        Support::FaultAgent.start do |agent|
          agent.info = { status: code }
          report, = doctor(agent.url)

          expect(check(report, "agent"))
            .to include(status:, cure: String, details: { address: agent.url, status: code })
        end
      end
    end
  end

  describe "of a Unix socket" do
    around { |example| Dir.mktmpdir { |folder| (@folder = folder) && example.run } }

    let(:path) { File.join(@folder, "apm.socket") }

    it "sends a trace there" do
      Support::FaultAgent.start(path:) do |agent|
        report, status = doctor("unix://#{path}")

        expect(status).to eq(0)
        expect(check(report, "agent")).to include(status: "ok", text: "version 7.70.0 at unix://#{path}")
        expect(agent.received.size).to eq(1)
      end
    end

    it "says that there is none" do
      report, status = doctor("unix://#{path}")

      expect(status).to eq(1)
      expect(check(report, "agent")).to include(text: "unix://#{path}: there is no such socket", cure: /mounted/)
    end

    it "says that it is a file, or one that nobody listens on" do
      FileUtils.touch(path)

      expect(check(doctor("unix://#{path}")[0], "agent"))
        .to include(text: /nothing listens on the socket/, cure: /folder/)
    end

    it "says that this user isn't allowed to" do
      Support::FaultAgent.start(path:) do
        File.chmod(0o000, path, @folder)
        expect(check(unprivileged("unix://#{path}"), "agent")).to include(text: /may not connect/, cure: /dd-agent/)
        File.chmod(0o700, @folder)
      end
    end

    # What a user reports who isn't root, who may do everything.
    def unprivileged(url)
      return doctor(url)[0] unless Process.uid.zero?

      in_child do
        Process::UID.change_privilege(65_534)
        JSON.parse(Datadog::NativeExport.doctor(agent_url: url, agent_timeout: 1).to_json, symbolize_names: true)
      end
    end
  end

  describe "of a collector" do
    it "says whether it can be connected to, and sends a trace by OTLP" do
      Support::FaultAgent.start do |collector|
        report, status = doctor(OTEL_TRACES_EXPORTER: "otlp", OTEL_EXPORTER_OTLP_ENDPOINT: collector.url)

        expect(check(report, "collector")).to include(status: "ok")
        expect([status, check(report, "trace")[:details][:status]]).to eq([0, 200])
        expect(collector.attempts.size).to eq(1)
      end
    end

    it "says that there is none" do
      report, status = doctor(OTEL_TRACES_EXPORTER: "otlp", OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:#{free_port}")

      expect(status).to eq(1)
      expect(check(report, "collector"))
        .to include(status: "failed", text: /connection is refused/, cure: /collector running.*4318/)
      expect(check(report, "trace")).to include(cure: /see there/)
    end

    it "says what to do about a server that speaks something else" do
      raw_server("\x00\x00\x06\x04\x00\x00\x00\x00\x00") do |url|
        report, status = doctor(OTEL_TRACES_EXPORTER: "otlp", OTEL_EXPORTER_OTLP_ENDPOINT: url)

        expect([status, check(report, "collector")[:status]]).to eq([1, "ok"])
        expect(check(report, "trace")).to include(status: "failed", cure: /gRPC \(4317\)/)
      end
    end
  end

  describe "without the extension" do
    include_context "with an agent"

    # The library, with something else in its place.
    def library_with(extension)
      Dir.mktmpdir do |folder|
        FileUtils.cp_r(File.join(Support::Processes::LIB, "datadog"), folder)
        FileUtils.mkdir(File.join(folder, "datadog_native_export"))
        File.write(File.join(folder, "datadog_native_export/datadog_native_export.so"), extension) if extension
        yield folder
      end
    end

    {
      nil => /not compiled.*gem pristine/, "no ELF" => /compiled for another Ruby.*gem pristine/
    }.each do |content, cure|
      it "asks the agent all the same, and says how to get it, with #{content.inspect} in its place" do
        library_with(content) do |lib|
          report, status = doctor(agent.url, lib:)

          expect([status, report[:ok]]).to eq([1, false])
          expect(check(report, "extension")).to include(status: "failed", text: /not loaded/, cure:)
          expect(check(report, "agent")[:status]).to eq("ok")
          expect(check(report, "trace")[:status]).to eq("skipped")
        end
      end
    end

    it "says which variable switches it off" do
      report, = doctor(agent.url, DD_NO_NATIVE_EXPORT_EXTENSION: "1")

      expect(check(report, "extension")).to include(
        status: "failed", text: /DD_NO_NATIVE_EXPORT_EXTENSION=1/, cure: "Unset DD_NO_NATIVE_EXPORT_EXTENSION."
      )
    end
  end

  describe "within a process" do
    include_context "with an agent"

    def examine(script)
      output, errors, = run_ruby("#{script}\nputs Datadog::NativeExport.doctor.to_json", agent.url)
      expect(errors).to eq("")
      JSON.parse(output.lines.last, symbolize_names: true)
    end

    it "goes by what the default exporter was told" do
      report = examine('Datadog::NativeExport.configure { |c| c.agent_url = ARGV[0]; c.headers = { "X-Own" => "1" } }')

      expect(report[:configuration][:agent_url]).to eq(value: agent.url, source: "keyword")
      expect(report[:ok]).to be(true)
      expect(agent.requests.map { |request| request.headers["x-own"] }.uniq).to eq(["1"])
    end

    it "says which option is refused" do
      output, = run_ruby('puts Datadog::NativeExport.doctor(agent_url: "localhost:8126", stats: true)')

      expect(output).to match(/^configuration +failed +agent_url: expected http.*\n +cure .*\n(.*\n)*trace +skipped/)
    end

    it "goes by the tracer's settings", skip: Support::DDTraceRb.absent do
      script = <<~RUBY
        require "datadog"
        require "datadog/native_export"
        Datadog.configure { |c| c.telemetry.enabled = c.remote.enabled = false }
        Datadog::NativeExport.enable!
        puts Datadog::NativeExport.doctor
      RUBY
      env = { **Support::DDTraceRb::UNSET, "DD_TRACE_AGENT_URL" => agent.url, "DD_TRACE_STARTUP_LOGS" => "false" }
      output, errors, = capture(env, *Support::DDTraceRb.command, "-e", script)

      expect(errors).to eq("")
      expect(output).to match(/^  agent_url +"#{agent.url}" +dd_trace_rb$/)
      expect(output).to match(/^trace +ok/)
    end
  end

  describe "arguments" do
    it "may ask for help" do
      output, errors, status = run_command("--help")

      expect([errors, status.exitstatus]).to eq(["", 0])
      expect(output).to match(/\Ausage: datadog-native-export doctor/)
      expect(run_command("doctor", "-h")[0]).to eq(output)
    end

    [[], %w[surgeon], %w[doctor now], %w[doctor --jsn-x], %w[doctor --json=1]].each do |arguments|
      it "are refused with the usage: #{arguments}" do
        output, errors, status = run_command(*arguments)

        expect([output, status.exitstatus]).to eq(["", 2])
        expect(errors).to match(/^usage: datadog-native-export doctor/)
      end
    end
  end
end
