# frozen_string_literal: true

module Datadog
  module NativeExport
    # The compiled part of the gem: whether it is wanted, and where it is.
    # @api private
    module Library
      # Leaves the extension out: during the installation it isn't compiled, at run time it isn't loaded.
      VARIABLE = "DD_NO_NATIVE_EXPORT_EXTENSION"
      NAME = "datadog_native_export"
      private_constant :NAME

      class << self
        # @param env [Hash{String => String}]
        # @return [Boolean] whether {VARIABLE} is set to anything but nothing, `0` and `false`
        def unwanted?(env = ENV) = !env[VARIABLE].to_s.strip.match?(/\A(0|false)?\z/i)

        # Precompiled gems hold a library for each minor version of Ruby, which comes first: another Ruby's could
        # crash the process.
        #
        # @return [void]
        # @raise [LoadError] when {VARIABLE} is set, when there is no library for this Ruby, or with the linker's reason
        def load
          raise LoadError, "#{VARIABLE}=#{ENV.fetch(VARIABLE)} switches the native extension off" if unwanted?

          found = ["#{NAME}/#{ruby_minor}/#{NAME}", "#{NAME}/#{NAME}"].any? { |feature| load_if_installed(feature) }
          raise LoadError, missing unless found
        end

        private

        def ruby_minor = RUBY_VERSION[/\A\d+\.\d+/]

        # What a library that is there fails with, such as a glibc that is too old, must not read as a missing file.
        def load_if_installed(feature)
          require feature
          true
        rescue LoadError => e
          raise unless e.path == feature

          false
        end

        def missing
          "no native extension for #{RUBY_ENGINE} #{ruby_minor} is installed: either it was left out " \
            "(#{VARIABLE}), or this is a precompiled gem that has none for it, in which case " \
            "`gem install --platform ruby datadog-native-export` compiles one"
        end
      end
    end
  end
end
