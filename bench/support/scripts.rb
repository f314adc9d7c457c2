# frozen_string_literal: true

require "json"
require "open3"
require "rbconfig"

# The measurements: each is a script that prints one JSON object, with the extension in the folder that BENCH_LIB names.
module Scripts
  LIB = File.expand_path("../../lib", __dir__)

  # What one of them printed. One that fails ends all.
  def self.run(name, *arguments, lib: LIB)
    path = File.expand_path("../measure/#{name}.rb", __dir__)
    output, status = Open3.capture2({ "BENCH_LIB" => lib }, RbConfig.ruby, path, *arguments)
    abort "#{name} failed" unless status.success?

    JSON.parse(output, symbolize_names: true)
  end
end
