# frozen_string_literal: true

module Datadog
  module NativeExport
    module DDTrace
      # Monotonic time that tests can't mock.
      # @api private
      module Clock
        # A Method object stays what it was when it was taken, whatever replaces the method later. Timecop may
        # have replaced it before, and keeps the original under this name.
        ORIGINAL = Process.method(
          Process.respond_to?(:clock_gettime_without_mock) ? :clock_gettime_without_mock : :clock_gettime
        )
        private_constant :ORIGINAL

        # @return [Float] seconds since some point in the past
        def self.now = ORIGINAL.call(Process::CLOCK_MONOTONIC)
      end
    end
  end
end
