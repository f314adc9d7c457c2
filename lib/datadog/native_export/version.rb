# frozen_string_literal: true

module Datadog
  module NativeExport
    # The version of this gem.
    VERSION = "0.1.0"
  end
end
