# frozen_string_literal: true

require "rbconfig"

# The extension that bench/baseline/ is compiled to.
library = File.expand_path("../../target/release/libbaseline.so", __dir__)
folder = File.expand_path("../../tmp/bench", __dir__)
require "fileutils"
FileUtils.mkdir_p(folder)
# Ruby wants the name without the prefix. Other processes may be loading it.
FileUtils.ln_sf(library, File.join(folder, "baseline.so"))
require File.join(folder, "baseline.so")

module Baseline
  # With the same keywords as Datadog::NativeExport::Span, so that conversions are all the difference.
  class Span
    def initialize(name:, trace_id:, span_id:, start:, duration:, service: nil, resource: nil, type: nil,
                   parent_id: 0, error: 0, meta: nil, metrics: nil)
      lower(name, service, resource, type, trace_id, span_id, parent_id, start, duration, error, meta, metrics)
    end
  end
end
