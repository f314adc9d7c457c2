# frozen_string_literal: true

require "monitor"

module Datadog
  module NativeExport
    # What {.configure} yields: an attribute for each option of {Exporter#initialize}, nil unless it was set.
    class Settings < Struct.new(*Configuration::Options::TABLE.keys) # rubocop:disable Style/StructInheritance
      # Values may be secret.
      def inspect = "#<#{self.class} #{to_h.compact.keys.join(", ")}>"
      alias to_s inspect
    end

    # An application's `configure` block may ask for the exporter.
    CONFIGURING = Monitor.new
    private_constant :CONFIGURING

    @settings = Settings.new

    class << self
      # Sets options of the default {.exporter}, and makes it. What earlier calls have set stays set, and is what the
      # block finds; nil takes it back. After an error everything is as before.
      #
      # An exporter that {.exporter} has returned before stays open, for threads that still use it: what they have
      # exported, or will, is sent by the options of that time.
      #
      # @yieldparam settings [Settings]
      # @return [Exporter] frozen, so that all Ractors may use it
      # @raise [ConfigurationError] if a value can't be used; the message names the option
      # @raise [UnavailableError] when the native extension could not be loaded
      # @raise [Ractor::IsolationError] in another Ractor than the main one
      def configure
        CONFIGURING.synchronize do
          settings = @settings.dup
          yield settings
          exporter = Ractor.make_shareable(Exporter.new(**settings.to_h))
          @settings = settings
          @exporter = exporter
        end
      end

      # Returns the default exporter, for programs that need but one. All threads share it, and forked children;
      # other Ractors, too, if the main one has called this or {.configure} before.
      #
      # @return [Exporter] the one that {.configure} made last; or one that goes by variables and defaults
      # @raise [UnavailableError] when the native extension could not be loaded
      # @raise [Ractor::IsolationError] in another Ractor, if there is no default exporter yet
      def exporter
        # A second thread finds what the first one made.
        @exporter || CONFIGURING.synchronize { @exporter || configure { nil } }
      end

      private

      attr_reader :settings
    end
  end
end
