//! libdatadog's trace exporter, by the settings of an exporter.

use super::capability::AgentClient;
use crate::config::{Application, Config, OtlpProtocol};
use libdd_data_pipeline::OtlpProtocol as LibraryProtocol;
use libdd_data_pipeline::trace_exporter::{TraceExporter, TraceExporterBuilder};
use libdd_shared_runtime::BasicRuntime;
use std::sync::Arc;
use std::time::Duration;

/// Longer than any delivery: the trace exporter's own timeout must not cut one off.
const LIBRARY_TIMEOUT_MS: u64 = 400 * 24 * 3_600_000;
/// Time that statistics are summed up over, which is what the agent's own are, too.
const STATS_BUCKET: Duration = Duration::from_secs(10);
/// Names what made the spans of an OTLP request.
const SCOPE: &str = "datadog-native-export";

pub type AgentExporter = TraceExporter<AgentClient, BasicRuntime>;

pub async fn build(config: &Config, workers: Arc<BasicRuntime>) -> Result<AgentExporter, String> {
    let mut builder = TraceExporterBuilder::new();
    builder
        .set_shared_runtime(workers)
        .set_restart_after_fork(false)
        .set_connection_timeout(Some(LIBRARY_TIMEOUT_MS))
        .enable_agent_rates_payload_version()
        .set_language(config.tracer.language.as_str())
        .set_language_version(config.tracer.language_version.as_str())
        .set_language_interpreter(config.tracer.interpreter.as_str())
        .set_language_interpreter_vendor(config.tracer.interpreter_vendor.as_str())
        .set_tracer_version(config.tracer.version.as_str());
    describe_application(&mut builder, &config.application);
    if config.client_computed_top_level {
        builder.set_client_computed_top_level();
    }
    if config.client_computed_stats {
        builder.set_client_computed_stats();
    }
    if config.stats {
        builder.enable_stats(STATS_BUCKET);
    }
    if let Some(token) = &config.test_session_token {
        builder.set_test_session_token(token.as_str());
    }
    match &config.otlp {
        Some(otlp) => {
            builder
                .set_otlp_endpoint(otlp.url.as_str())
                .set_otlp_protocol(match otlp.protocol {
                    OtlpProtocol::HttpProtobuf => LibraryProtocol::HttpProtobuf,
                    OtlpProtocol::HttpJson => LibraryProtocol::HttpJson,
                })
                .set_otlp_instrumentation_scope(SCOPE, config.tracer.version.as_str());
        }
        None => {
            builder.set_url(config.agent_url.as_str());
        }
    }
    let exporter = builder.build_async::<AgentClient>().await;
    exporter.map_err(|error| error.to_string())
}

fn describe_application(
    builder: &mut TraceExporterBuilder<BasicRuntime>,
    application: &Application,
) {
    builder
        .set_service(&application.service)
        .set_env(&application.env)
        .set_app_version(&application.version)
        .set_hostname(&application.hostname)
        .set_git_commit_sha(&application.git_commit_sha);
    if let Some(id) = application.runtime_id.get() {
        builder.set_runtime_id(id);
    }
}
