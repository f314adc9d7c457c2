# frozen_string_literal: true

require_relative "kinds"
require_relative "otlp"

module Datadog
  module NativeExport
    class Configuration
      # Each option of an {Exporter}: its kind, its default, and the variables that are read when it isn't given, from
      # the strongest to the weakest. docs/reference.md explains them.
      # @api private
      module Options
        Option = Struct.new(:name, :kind, :default, :variables)

        seconds = Kinds::Seconds.new
        count = Kinds::Count.new
        flag = Kinds::Flag.new
        text = Kinds::Text.new
        otlp = ->(name) { ["OTEL_EXPORTER_OTLP_TRACES_#{name}", "OTEL_EXPORTER_OTLP_#{name}"] }

        TABLE = [
          [:agent_url, Kinds::AgentURL.new, nil, Environment::VARIABLES],
          [:agent_timeout, seconds, 3, %w[DD_TRACE_AGENT_TIMEOUT_SECONDS]],
          [:flush_interval, seconds, 1],
          [:shutdown_timeout, seconds, 1],
          [:max_queue_spans, count, 100_000],
          [:max_queue_bytes, count, 64 * 1024 * 1024],
          [:when_full, Kinds::Choice.new(:drop_newest, :drop_oldest), :drop_newest],
          [:max_payload_bytes, count, 5 * 1024 * 1024],
          [:retry_deadline, seconds, 10],
          [:logger, Kinds::Logger.new, nil],
          [:tracer_version, text, VERSION],
          [:headers, Kinds::Headers.new, {}],
          [:span_events, flag, nil, %w[DD_TRACE_NATIVE_SPAN_EVENTS]],
          [:client_computed_top_level, flag, false],
          [:client_computed_stats, flag, false],
          [:stats, flag, false, %w[DD_TRACE_STATS_COMPUTATION_ENABLED]],
          [:service, text, "", %w[DD_SERVICE OTEL_SERVICE_NAME]],
          [:env, text, "", %w[DD_ENV]],
          [:version, text, "", %w[DD_VERSION]],
          [:git_commit_sha, text, "", %w[DD_GIT_COMMIT_SHA]],
          [:hostname, text, ""],
          [:runtime_id, text, ""],
          [:otlp_endpoint, Kinds::OTLPEndpoint.new, nil, otlp["ENDPOINT"]],
          [:otlp_protocol, Kinds::OTLPProtocol.new, "http/protobuf", otlp["PROTOCOL"]],
          [:otlp_headers, Kinds::OTLPHeaders.new, {}, otlp["HEADERS"]],
          [:otlp_timeout, Kinds::OTLPTimeout.new, 10, otlp["TIMEOUT"]],
          [:test_session_token, Kinds::Secret.new, nil]
        ].to_h { |name, kind, default, variables| [name, Option.new(name, kind, default, variables || [])] }
        # Options of which one at most can be in force. If the first comes from a variable, it yields to the second.
        CONTRADICTIONS = [
          [:stats, :client_computed_stats, "statistics are computed once"],
          [:stats, :otlp_endpoint, "OTLP collectors take no statistics"]
        ].freeze

        # Exporters are made in any Ractor.
        [TABLE, CONTRADICTIONS].each { |constant| Ractor.make_shareable(constant) }
      end
    end
  end
end
