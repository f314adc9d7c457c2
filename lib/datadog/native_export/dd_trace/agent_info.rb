# frozen_string_literal: true

module Datadog
  module NativeExport
    module DDTrace
      # Has the tracer ask the agent what it is, as its HTTP transport does before it sends the first traces.
      #
      # Database monitoring and data streams read what comes of that, but none of them asks. One answer is enough
      # for a configuration. An agent may take long to answer, so this is done on a thread that ends with it.
      # @api private
      class AgentInfo
        # Seconds between two looks at whether there is something to ask for.
        INTERVAL = 1
        private_constant :INTERVAL

        def initialize
          @looked_at = -Float::INFINITY
        end

        # Asks where the present configuration's answer isn't there, at most once a second.
        #
        # @return [void]
        def refresh
          now = Clock.now
          return if (now - @looked_at).abs < INTERVAL

          @looked_at = now
          info = present
          start(info) if info && !info.equal?(@fetched) && !@thread&.alive?
        rescue StandardError => e
          Log.debug(e)
        end

        # Looks again with the next trace, since the tracer is about to be configured.
        #
        # @return [void]
        def reset
          @looked_at = -Float::INFINITY
        end

        private

        # nil where nothing would come of asking.
        def present
          settings = Datadog.configuration
          switch = :experimental_propagate_process_tags_enabled
          return if settings.respond_to?(switch) && !settings.public_send(switch)

          components = Datadog.__send__(:components, allow_initialization: false)
          info = components.agent_info if components.respond_to?(:agent_info)
          info if info.respond_to?(:propagation_checksum) || info.respond_to?(:container_tags_hash)
        end

        def start(info)
          @thread = Thread.new { fetch(info) }
          @thread.name = "Datadog::NativeExport agent info"
          # Puma warns of threads that a fork would end. This one starts anew in a child.
          @thread.thread_variable_set(:fork_safe, true)
        end

        def fetch(info)
          Thread.current.report_on_exception = false
          @fetched = info if info.fetch
        rescue StandardError => e
          Log.debug(e)
        end
      end
    end
  end
end
