# frozen_string_literal: true

require_relative "../../support/dd_trace_rb"
require_relative "../../support/dd_trace_rb/odd_settings"

# Settings as people and platforms have them, next to dd-trace-rb's own transport.
RSpec.describe "dd-trace-rb's settings" do
  include_context "with dd-trace-rb"

  # What became of each case: whether its trace arrived, and what this gem wrote into the log.
  tried = Hash.new do |all, (children, way)|
    Dir.mktmpdir do |folder|
      all[[children, way]] = children.report(way, <<~RUBY, errors: 0..1_000).except("errors")
        Dir.chdir(#{folder.inspect})
        require #{File.join(Support::DDTraceRb::FOLDER, "odd_settings").inspect}
        require "datadog/native_export/testing"
        require "stringio"

        # Passes on what comes by a Unix socket.
        def relay(path, port)
          server = UNIXServer.new(path)
          Thread.new do
            loop do
              near, far = server.accept, TCPSocket.new("127.0.0.1", port)
              Thread.new { IO.copy_stream(near, far) rescue near.close }
              Thread.new { IO.copy_stream(far, near) rescue far.close }
            end
          end
        end

        agent = Datadog::NativeExport::Testing::Agent.start
        port = Integer(agent.url[/\\d+\\z/])
        ["apm.socket", "apm socket %20 ü?#.", "~apm"].each { |path| relay(path, port) }

        results = OddSettings.all(port).to_h do |name, odd|
          agent.clear
          log = StringIO.new
          odd.env.each { |variable, value| ENV[variable] = value }
          Datadog.send(:reset!)
          # As in a process of its own.
          Datadog::NativeExport.const_get(:DDTrace)::Log.instance_variable_get(:@warned).clear
          Child.configure(refusable: true, retry_deadline: 0.2, shutdown_timeout: 1) do |c|
            c.logger.instance = Logger.new(log)
            odd.agent.each { |setting, value| c.agent.public_send("\#{setting}=", value) }
          end
          Child.trace(name)
          Child.flush
          lines = log.string.scrub.lines.grep(/native-export/)
          known = !odd.env.key?("DD_EXTERNAL_ENV") || Datadog.configuration.respond_to?(:container)
          [name, [agent.spans.map { |span| span["name"] } == [name], (lines if known)]]
        ensure
          odd.env.each_key { |variable| ENV.delete(variable) }
        end
        puts JSON.generate(results)
      RUBY
    end
  rescue RuntimeError => e
    # Not once for each example.
    all[[children, way]] = Hash.new { raise e }
  end
  children = Object.new.extend(Support::DDTraceRb::Children)

  %w[enable writer transport].each do |way|
    OddSettings.all(8126).each do |name, odd|
      context "with #{name}, by #{way}," do
        let(:arrived) { tried[[children, way]].fetch(name).first }
        let(:lines) { tried[[children, way]].fetch(name).last }

        it "let traces arrive where the tracer's own transport does" do
          expect(arrived).to be(true).or eq(tried[[children, "http"]].fetch(name).first)
        end

        if odd.warns
          it "are warned of once, by the name of the variable" do
            skip("not in this version") unless lines

            expect(lines.size).to eq(1)
            expect(lines.first).to include(odd.warns)
          end
        end
      end
    end
  end

  it "show no password" do
    lines = %w[enable writer transport].flat_map { |way| tried[[children, way]].values.flat_map(&:last).compact }

    expect(lines).not_to be_empty
    expect(lines.join).not_to include("secret")
  end

  it "are tried with values by which traces arrive, and others" do
    arrived = tried[[children, "http"]].values.map(&:first)

    expect(arrived.count(true)).to be > 30
    expect(arrived.count(false)).to be > 5
  end
end
