# frozen_string_literal: true

module Datadog
  module NativeExport
    VERSION = "0.1.0"
  end
end
