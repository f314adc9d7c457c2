# frozen_string_literal: true

require "coverage"
require "json"

# Loaded by `rake coverage` into each Ruby process that the specs start. Writes the lines of lib/ that were run into
# the folder that LINE_COVERAGE names; a process that ends without its exit handlers writes nothing.
Coverage.start(lines: true)

lib = "#{File.expand_path("../../lib", __dir__)}/"

at_exit do
  lines = Coverage.peek_result.select { |path, _| path.start_with?(lib) }.transform_values { |of| of.fetch(:lines) }
  File.write(File.join(ENV.fetch("LINE_COVERAGE"), "#{Process.pid}-#{rand(2**32)}.json"), JSON.generate(lines))
end
