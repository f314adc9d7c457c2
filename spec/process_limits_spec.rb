# frozen_string_literal: true

# What happens to spans in a process that is short of something.
RSpec.describe "A process" do
  include_context "with an agent"

  let(:script) { <<~RUBY }
    include Datadog::NativeExport
    EXPORTER = Exporter.new(agent_url: ARGV[0], flush_interval: 3_600)
    def export(id = 1)
      span = Span.new(name: "job", trace_id: id, span_id: id, start: 0, duration: 0)
      EXPORTER.export(TraceChunks.new.begin_chunk << span)
    end
  RUBY

  def ids
    agent.spans.map { |span| span["span_id"] }.sort
  end

  describe "that has no room for a thread" do
    # As another user, since there is no such limit for root.
    before do
      skip "only root can become another user" unless Process.uid.zero?
      skip "Ruby 3.3 hangs after a Thread.new that failed, without this gem, too" if RUBY_VERSION.start_with?("3.3.")
    end

    let(:limited) { "Process.setrlimit(:NPROC, 1); Process::Sys.setgid(65_534); Process::Sys.setuid(65_534)" }

    it "counts what it can't send, and raises nothing" do
      output, errors, = run_ruby(<<~RUBY, agent.url)
        #{script}
        #{limited}
        print export, " ", EXPORTER.stats[:last_error], " "
        chunks = TraceChunks.new.begin_chunk << Span.new(name: "x", trace_id: 1, span_id: 1, start: 0, duration: 0)
        print EXPORTER.send_trace_chunks(chunks).error.message, " "
        EXPORTER.shutdown(timeout: 1)
        print EXPORTER.stats[:dropped][:internal]
      RUBY
      expect(output).to match(/\Atrue the sender cannot be started: .* the sender cannot be started: .* 2\z/)
      expect(errors).not_to include("panicked")
    end
  end

  describe "that has no room for a descriptor" do
    it "starts to send as soon as there is" do
      output, = run_ruby(<<~RUBY, agent.url)
        #{script}
        limits = Process.getrlimit(:NOFILE)
        Process.setrlimit(:NOFILE, Dir.children("/proc/self/fd").size - 1, limits[1])
        export(1)
        Process.setrlimit(:NOFILE, *limits)
        print EXPORTER.flush(timeout: 10)
      RUBY
      expect(output).to eq("true")
      expect(ids).to eq([1])
    end
  end

  describe "that closes all descriptors that it did not open" do
    it "starts anew, and raises nothing" do
      output, errors, status = run_ruby(<<~RUBY, agent.url)
        #{script}
        export(1)
        EXPORTER.flush(timeout: 10)
        3.upto(200) { |number| IO.for_fd(number, autoclose: true).close rescue nil }
        files = Array.new(8) { File.open(IO::NULL, "w") }
        print export(2), EXPORTER.flush(timeout: 10), EXPORTER.stats.values_at(:spans_exported, :spans_sent)
        print files.none?(&:closed?)
      RUBY
      expect(output).to eq("truetrue[2, 2]true")
      expect(errors).not_to include("panicked")
      expect(status).to be_success
      expect(ids).to eq([1, 2])
    end
  end

  describe "that has no room for memory" do
    # With room for a few times what an agent takes of one text, beside what Ruby reserves: Ruby 3.1 has 80 MB of
    # addresses then, and Ruby 3.3 has 480 MB.
    def run_with_little_memory(code)
      script = <<~RUBY
        include Datadog::NativeExport
        reserved = File.read("/proc/self/status")[/VmSize:\\s+(\\d+) kB/, 1].to_i * 1024
        Process.setrlimit(:AS, reserved + 530_000_000)
        #{code}
      RUBY
      capture(RbConfig.ruby, "-I", Support::Processes::LIB, "-r", "datadog/native_export", "-e", script)
    end

    large = "text = 'x' * 200_000_000"
    twenty = "text = 'x' * 20_000_000"
    {
      "a tag" => [large, "meta: { text => text }"],
      "text to be transcoded" => [large, "service: text.force_encoding('UTF-16LE')"],
      "text to be repaired" => ['text = "\xFF" * 24_000_000', "service: text"],
      "a structure" => [large, "meta_struct: { 'k' => [text] }"],
      "many structures" => [twenty, "meta_struct: (0...40).to_h { |key| [key.to_s, text] }"],
      "packed structures" => [
        "text = [0xDB, 200_000_000].pack('CN') << 'x' * 200_000_000
         packed = Object.new.tap { |object| object.define_singleton_method(:to_msgpack) { text } }",
        "meta_struct: { 'k' => packed }"
      ],
      "an attribute of a link" => [large, "links: [{ trace_id: 1, span_id: 1, attributes: { 'k' => text } }]"],
      "attributes of an event" => [
        twenty, "events: [{ name: 'n', time_unix_nano: 1, attributes: { 'k' => [text] * 40 } }]"
      ]
    }.each do |what, (prepare, field)|
      it "gets an exception for #{what} that takes too much of it, and goes on" do
        output, errors, status = run_with_little_memory(<<~RUBY)
          #{prepare}
          begin
            Span.new(**{ name: "n", trace_id: 1, span_id: 1, start: 1, duration: 1, #{field} })
          rescue NoMemoryError, RangeError, ArgumentError
            print "refused"
          end
        RUBY
        expect([output, errors, status.exitstatus]).to eq(["refused", "", 0])
      end
    end
  end
end
