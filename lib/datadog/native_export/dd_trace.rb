# frozen_string_literal: true

require_relative "dd_trace/clock"
require_relative "dd_trace/log"
require_relative "dd_trace/compatibility"
require_relative "dd_trace/enable"

module Datadog
  module NativeExport
    # Everything that only users of dd-trace-rb load. All that isn't public API of dd-trace-rb is called
    # from the files of this folder, and pinned by `spec/integration/dd_trace_rb`.
    # @api private
    module DDTrace
    end
  end
end
