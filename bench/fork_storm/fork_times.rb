# frozen_string_literal: true

class ForkStorm
  # How long a fork takes in a process that exports, next to one that does the same but for the export: builds
  # as many spans, on as many threads, in a heap of that size, and lets them go. Both run at the same time and
  # fork in turns.
  class ForkTimes
    THREADS = 4
    BALLAST = 400_000
    WARM_UP = 50

    # Beyond what noise does to the ratios. That of the medians holds well; the slowest of a hundred forks
    # depend on what else the machine does.
    MEDIAN_BOUND = 1.5
    P99_BOUND = 3

    def self.compare(url, forks)
      pair = { "with" => url, "without" => "" }.transform_values do |argument|
        IO.popen([RbConfig.ruby, MAIN, "forking", argument], "r+")
      end
      times = pair.transform_values { [] }
      (forks + WARM_UP).times do
        pair.to_a.shuffle.each do |name, io|
          io.puts
          times[name] << Float(io.gets)
        end
      end
      pair.each_value(&:close)
      times.transform_values { |all| all.drop(WARM_UP) }
    end

    # One of both processes; nothing is exported without a url.
    def self.run(url)
      $stdout.sync = true
      exporter = Datadog::NativeExport::Exporter.new(agent_url: url, logger: ForkStorm::SILENT) unless url.empty?
      ballast = Array.new(BALLAST) { |i| "a string that is too long to be embedded #{i}" }
      THREADS.times { |thread| Thread.new { load(exporter, thread) } }
      while $stdin.gets
        before = ForkStorm.now
        pid = fork { exit!(0) }
        puts ForkStorm.now - before
        Process.wait(pid)
      end
      exit!(ballast.size - BALLAST)
    end

    def self.load(exporter, thread)
      number = 0
      loop do
        chunks = ForkStorm.chunks(1, (number * THREADS) + thread + 1, 10)
        exporter ? exporter.export(chunks) : chunks.span_count
        number += 10
        sleep 0.005
      end
    end
    private_class_method :load
  end
end
