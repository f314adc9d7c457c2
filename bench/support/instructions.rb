# frozen_string_literal: true

require "rbconfig"
require "tmpdir"
require_relative "scripts"

# Instructions and native allocations under callgrind: counts, which no other process can change. Two runs of
# different length cancel out what is done once.
module Instructions
  SHORT = 2
  LONG = 12
  SPANS = 1_000
  ALLOCATING = /\A(malloc|calloc|realloc|posix_memalign|aligned_alloc|memalign)\z/
  SCRIPT = File.expand_path("callgrind.rb", __dir__)

  module_function

  # Instructions and allocations a span of a way in callgrind.rb, with the extension in a folder.
  def count(way, lib: Scripts::LIB)
    short, long = [SHORT, LONG].map { |times| run(way, times, lib) }
    long.zip(short).map { |more, less| (more - less).fdiv((LONG - SHORT) * SPANS) }
  end

  def run(way, times, lib)
    Dir.mktmpdir do |folder|
      output, log = %w[callgrind.out log].map { |name| File.join(folder, name) }
      system({ "BENCH_LIB" => lib },
             "valgrind", "--tool=callgrind", "--callgrind-out-file=#{output}", "--log-file=#{log}",
             RbConfig.ruby, "--disable-gems", SCRIPT, way, times.to_s, exception: true)
      [Integer(File.read(output)[/^(?:totals|summary): (\d+)/, 1]), allocations(output)]
    end
  end

  # Calls of the allocator, wherever they come from. The format gives names once and then by number:
  # "cfn=(12) malloc", "calls=3 ...".
  def allocations(path)
    names = {}
    called = nil
    File.foreach(path).sum do |line|
      if (function = line.match(/\A(c?)fn=\((\d+)\)(?: (.+))?/))
        names[function[2]] ||= function[3]
        called = names[function[2]] unless function[1].empty?
      end
      calls = line[/\Acalls=(\d+)/, 1]
      calls && called.match?(ALLOCATING) ? Integer(calls) : 0
    end
  end
end
