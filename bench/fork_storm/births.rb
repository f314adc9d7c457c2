# frozen_string_literal: true

class ForkStorm
  # Processes that fork within the first milliseconds of their first export, while the sender, and all that a process
  # initialises once, is being born. Each is forked off before anything of the gem has run.
  class Births
    WAYS = %w[address name unix tls].freeze
    # Seconds, which no flush needs even on a busy machine.
    LIMIT = 30

    # In processes of their own, with and without backtraces.
    def self.run_all(births)
      Dir.mktmpdir do |directory|
        agent = Agent::Handle.new("healthy", directory)
        WAYS.product([nil, "1"]).map do |way, backtraces|
          env = { "SSL_CERT_FILE" => agent.certificate, "RUST_BACKTRACE" => backtraces }
          system(env, RbConfig.ruby, MAIN, "births", agent.url(way), births.to_s)
        end
      end
    end

    def initialize(url, births)
      @url = url
      @births = births
      @children = Children.new
    end

    # Whether all is well.
    def run
      reaper = Thread.new { @children.reap(@births) }
      @births.times do
        @children.make_room
        @children.fork { exit!(live) }
      end
      reaper.join
      backtraces = ENV.key?("RUST_BACKTRACE") ? "with" : "without"
      ForkStorm.judge(
        "#{@births} births at #{@url}, #{backtraces} backtraces: #{@children.hung} hang, #{@children.failed} fail" =>
          (@children.hung + @children.failed).zero?
      )
    end

    private

    def live
      exporter = Datadog::NativeExport::Exporter.new(agent_url: @url, logger: SILENT, agent_timeout: LIMIT)
      exporter.export(ForkStorm.chunks(1, 1, 1))
      flush = Thread.new { exporter.flush(timeout: LIMIT) }
      # The sender takes its first steps now, in a development build ten times slower.
      sleep(rand * [0.003, 0.03].sample)
      child = Kernel.fork { exit!(deliver(exporter)) }
      well = await(child)
      well && flush.value && exporter.stats[:spans_sent] == 1
    end

    def deliver(exporter)
      exporter.export(ForkStorm.chunks(1, 1, 1))
      exporter.flush(timeout: LIMIT) && exporter.stats.values_at(:spans_sent, :spans_dropped) == [1, 0]
    end

    def await(child)
      Timeout.timeout(LIMIT + 10) { Process.wait2(child)[1].success? }
    rescue Timeout::Error
      Process.kill(:KILL, child)
      false
    end
  end
end
