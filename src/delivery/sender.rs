//! The task that takes payloads from a queue and has them delivered.

use super::agent_info::AgentInfo;
use super::attempts::Delivery;
use super::breaker::Breaker;
use super::capability::AgentClient;
use super::http_client::{AgentConnections, HttpClient};
use crate::config::Config;
use crate::queue::{Payload, Queue};
use crate::report::stats::Loss;
use crate::runtime::Runtime;
use crate::span::{self, AGENT_MAX_BYTES};
use libdd_data_pipeline::trace_exporter::{TraceExporter, TraceExporterBuilder};
use libdd_shared_runtime::BasicRuntime;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Longer than any delivery: the trace exporter's own timeout must not cut one off.
const LIBRARY_TIMEOUT_MS: u64 = 400 * 24 * 3_600_000;
const RESTART_PAUSE: Duration = Duration::from_millis(100);
/// Panics in a row, without a payload sent in between, after which the sender stops.
const MAX_PANICS: u32 = 10;
/// How long the trace exporter's workers may take to stop.
const WORKERS_STOP: Duration = Duration::from_secs(5);

type AgentExporter = TraceExporter<AgentClient, BasicRuntime>;

/// What the payloads of one sender share.
#[derive(Clone)]
struct Sender {
    config: Arc<Config>,
    queue: Arc<Queue>,
    workers: Arc<BasicRuntime>,
    http: Arc<dyn HttpClient>,
    breaker: Arc<Breaker>,
    info: Arc<AgentInfo>,
}

/// Starts to send what is put into `queue`, until it is closed and empty.
pub fn start(runtime: &'static Runtime, config: Arc<Config>, queue: Arc<Queue>) {
    let workers = runtime.for_workers();
    runtime.spawn(async move {
        let http = Arc::new(AgentConnections::new());
        Sender::new(config, queue, workers, http).run().await;
    });
}

impl Sender {
    fn new(
        config: Arc<Config>,
        queue: Arc<Queue>,
        workers: Arc<BasicRuntime>,
        http: Arc<dyn HttpClient>,
    ) -> Self {
        let info = AgentInfo::new(Arc::clone(&config), Arc::clone(&http));
        Self {
            config,
            queue,
            workers,
            http,
            breaker: Arc::new(Breaker::new()),
            info: Arc::new(info),
        }
    }

    async fn run(self) {
        // A panic costs the payloads in flight, which `Payload` counts, and nothing else.
        let mut panics = 0;
        let mut payloads_sent = 0;
        while let Err(panic) = tokio::spawn(self.clone().send_all()).await {
            let sent = self.queue.stats().payloads_sent;
            if std::mem::replace(&mut payloads_sent, sent) != sent {
                panics = 0;
            }
            panics += 1;
            if panics == MAX_PANICS {
                let detail =
                    format!("the sender has stopped after {panics} internal errors: {panic}");
                return self.queue.finish(&detail);
            }
            tokio::time::sleep(RESTART_PAUSE).await;
        }
    }

    async fn send_all(self) {
        let mut exporter = None;
        // Payloads wait for their retries side by side; the breaker lets one at a time to the agent.
        let mut deliveries = JoinSet::new();
        while self.queue.due().await {
            self.breaker.ready().await;
            #[cfg(test)]
            assert_ne!(self.config.tracer.language.as_str(), "panic");
            while deliveries.try_join_next().is_some() {}
            let Some(payload) = self.queue.take() else {
                continue;
            };
            self.info.keep_fresh();
            if self.config.span_events.is_none() && payload.has_span_events() {
                tokio::select! {
                    () = self.info.first_answer() => {}
                    // Time is short at the end.
                    () = self.queue.closing() => {}
                }
            }
            if exporter.is_none() {
                match self.build_exporter().await {
                    Ok(built) => exporter = Some(Arc::new(built)),
                    Err(error) => {
                        payload.give_up(Loss::Internal, error);
                        continue;
                    }
                }
            }
            if let Some(exporter) = &exporter {
                deliveries.spawn(self.clone().deliver(Arc::clone(exporter), payload));
                // Lets the delivery begin, so that the breaker is no longer ready.
                tokio::task::yield_now().await;
            }
        }
        while deliveries.join_next().await.is_some() {}
        self.queue.finish("the exporter has been shut down");
        if let Some(exporter) = exporter.and_then(Arc::into_inner) {
            let _ = exporter.shutdown_async(Some(WORKERS_STOP)).await;
        }
    }

    async fn deliver(self, exporter: Arc<AgentExporter>, mut payload: Payload) {
        let typed_events = self.config.span_events;
        let typed_events = typed_events.unwrap_or_else(|| self.info.span_events());
        let mut chunks = payload.take_chunks();
        for chunk in &mut chunks {
            span::prepare(chunk, typed_events);
        }
        let size = payload.size();
        // The size is an upper bound; the exact length is worth its price only near the limit.
        if size.wire > AGENT_MAX_BYTES
            && let [chunk] = &chunks[..]
        {
            let bytes = span::encoded_len(chunk);
            if bytes > AGENT_MAX_BYTES {
                let spans = size.spans;
                let detail = format!(
                    "a trace of {spans} spans takes {bytes} bytes, the agent accepts {AGENT_MAX_BYTES}"
                );
                return payload.give_up(Loss::TooLarge, detail);
            }
        }
        #[cfg(test)]
        assert_ne!(chunks[0][0].name, "panic");
        let delivery = Delivery::new(
            self.config,
            self.http,
            self.breaker,
            payload.tracker(),
            size,
        );
        let exporting = exporter.send_trace_chunks_async(span::pool().wrap_chunks(chunks));
        let outcome = delivery.send(exporting).await;
        for accepted in &outcome.accepted {
            self.info.note_state(accepted.agent_state.clone());
        }
        payload.settle(outcome);
    }

    async fn build_exporter(&self) -> Result<AgentExporter, String> {
        let config = &self.config;
        let mut builder = TraceExporterBuilder::new();
        builder
            .set_shared_runtime(Arc::clone(&self.workers))
            .set_restart_after_fork(false)
            .set_url(config.agent_url.as_str())
            .set_connection_timeout(Some(LIBRARY_TIMEOUT_MS))
            .enable_agent_rates_payload_version()
            .set_language(config.tracer.language.as_str())
            .set_language_version(config.tracer.language_version.as_str())
            .set_language_interpreter(config.tracer.interpreter.as_str())
            .set_language_interpreter_vendor(config.tracer.interpreter_vendor.as_str())
            .set_tracer_version(config.tracer.version.as_str());
        if config.client_computed_top_level {
            builder.set_client_computed_top_level();
        }
        if config.client_computed_stats {
            builder.set_client_computed_stats();
        }
        if let Some(token) = &config.test_session_token {
            builder.set_test_session_token(token.as_str());
        }
        let exporter = builder.build_async::<AgentClient>().await;
        exporter.map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests;
