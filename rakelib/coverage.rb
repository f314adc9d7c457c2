# frozen_string_literal: true

require "json"

# Which lines of lib/ were run, by the files that spec/support/line_coverage.rb wrote.
class LineCoverage
  def initialize(folder)
    @lines = Hash.new { |lines, path| lines[path] = [] }
    Dir["#{folder}/*.json"].each { |file| JSON.parse(File.read(file)).each { |path, counts| add(path, counts) } }
    # What no process has loaded isn't run either, but Ruby alone knows which of its lines could be.
    @unloaded = Dir["#{Dir.pwd}/lib/**/*.rb"] - @lines.keys
  end

  def to_s
    counts = @lines.values.flatten.compact
    total = format("%<percent>.1f %% of %<lines>d lines of Ruby", percent: percent(counts), lines: counts.size)
    [*@lines.sort.filter_map { |path, lines| describe(path, lines) }, *@unloaded.map { |path| "#{path}: not loaded" },
     total].map { |line| line.delete_prefix("#{Dir.pwd}/") }.join("\n")
  end

  private

  # A line that can't be run has nil.
  def add(path, counts)
    counts.each_with_index { |count, index| @lines[path][index] = count && (count + @lines[path][index].to_i) }
  end

  def describe(path, lines)
    missed = lines.each_index.select { |index| lines[index]&.zero? }.map(&:succ)
    "#{path}: #{missed.join(", ")}" if missed.any?
  end

  def percent(counts) = 100.0 * counts.count(&:positive?) / counts.size
end
