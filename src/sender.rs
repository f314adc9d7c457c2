//! The task that takes batches from a queue and sends them, one after the other.

use crate::agent_info::AgentInfo;
use crate::chunks::TraceChunks;
use crate::config::Config;
use crate::delivery::{AgentClient, Delivery};
use crate::gate::Gate;
use crate::queue::{Batch, Payload, Queue};
use crate::runtime::Runtime;
use crate::stats::Loss;
use libdd_data_pipeline::trace_exporter::{TraceExporter, TraceExporterBuilder};
use libdd_shared_runtime::BasicRuntime;
use libdd_trace_utils::span::span_pool::PooledChunks;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// What an agent takes at most in one request (`max_request_bytes` of the Go agent).
const AGENT_MAX_BYTES: usize = 25 * 1024 * 1024;
/// Beyond any delivery: the trace exporter's own timeout must not cut one off.
const LIBRARY_TIMEOUT_MS: u64 = 400 * 24 * 3_600_000;
const RESTART_PAUSE: Duration = Duration::from_millis(100);
const WORKERS_STOP: Duration = Duration::from_secs(5);

type AgentExporter = TraceExporter<AgentClient, BasicRuntime>;

/// Starts to send what is put into `queue`, until it is closed and empty.
pub fn start(runtime: &'static Runtime, config: Arc<Config>, queue: Arc<Queue>) {
    runtime.spawn(async move {
        // A panic loses the payload it happened in, which `Payload` counts, and nothing else.
        loop {
            let sending = tokio::spawn(send_all(runtime, Arc::clone(&config), Arc::clone(&queue)));
            match sending.await {
                Ok(exporter) => {
                    queue.end();
                    if let Some(exporter) = exporter.and_then(Arc::into_inner) {
                        let _ = exporter.shutdown_async(Some(WORKERS_STOP)).await;
                    }
                    break;
                }
                Err(_) => tokio::time::sleep(RESTART_PAUSE).await,
            }
        }
    });
}

async fn send_all(
    runtime: &'static Runtime,
    config: Arc<Config>,
    queue: Arc<Queue>,
) -> Option<Arc<AgentExporter>> {
    let gate = Arc::new(Gate::new());
    let info = Arc::new(AgentInfo::new(&config.agent_url, config.agent_timeout));
    let mut exporter = None;
    // Payloads wait for their retries side by side; the gate lets one at a time to the agent.
    let mut deliveries = JoinSet::new();
    loop {
        gate.vacant().await;
        let Some(mut batch) = queue.next().await else {
            break;
        };
        while deliveries.try_join_next().is_some() {}
        for (chunks, payload) in payloads(&config, &mut batch) {
            gate.vacant().await;
            info.keep_fresh();
            if exporter.is_none() {
                match build(&config, runtime).await {
                    Ok(built) => exporter = Some(Arc::new(built)),
                    Err(error) => {
                        payload.give_up(Loss::Internal, error);
                        continue;
                    }
                }
            }
            if let Some(exporter) = &exporter {
                let delivery = Arc::new(Delivery {
                    agent: config.agent_url.to_string(),
                    request_timeout: config.agent_timeout,
                    retry_deadline: config.retry_deadline,
                    gate: Arc::clone(&gate),
                    size: payload.size(),
                    headers: config.headers.clone(),
                    observer: payload.observer(),
                    outcome: Mutex::default(),
                    failed: Notify::new(),
                });
                let (exporter, info) = (Arc::clone(exporter), Arc::clone(&info));
                deliveries.spawn(deliver(
                    exporter,
                    delivery,
                    info,
                    chunks,
                    config.span_events,
                    payload,
                ));
                // Lets it begin, so that the gate is not vacant.
                tokio::task::yield_now().await;
            }
        }
    }
    while deliveries.join_next().await.is_some() {}
    exporter
}

async fn deliver(
    exporter: Arc<AgentExporter>,
    delivery: Arc<Delivery>,
    info: Arc<AgentInfo>,
    chunks: TraceChunks,
    typed_events: Option<bool>,
    payload: Payload,
) {
    let typed_events = typed_events.unwrap_or_else(|| info.span_events());
    let spans = PooledChunks::unpooled(chunks.to_spans(typed_events).collect());
    #[cfg(test)]
    assert_ne!(spans[0][0].name, "panic");
    let exporting = exporter.send_trace_chunks_async(spans);
    let outcome = delivery.send(exporting).await;
    for accepted in &outcome.accepted {
        info.note_state(accepted.agent_state.clone());
    }
    payload.settle(outcome);
}

/// The chunks of a batch in payloads of the size that agents like. A chunk that no agent takes is
/// given up here, so that it does not cost its neighbours.
fn payloads(config: &Config, batch: &mut Batch) -> Vec<(TraceChunks, Payload)> {
    let mut payloads: Vec<TraceChunks> = Vec::new();
    let chunks = std::mem::take(&mut batch.chunks);
    for chunk in chunks.into_iter().flat_map(TraceChunks::into_chunks) {
        let size = chunk.first_size();
        // The sum is an upper bound; the exact length is worth its price only near the limit.
        if size.wire > AGENT_MAX_BYTES {
            let bytes = chunk.first_wire_size();
            if bytes > AGENT_MAX_BYTES {
                let detail = format!(
                    "a trace of {} spans takes {bytes} bytes, the agent accepts {AGENT_MAX_BYTES}",
                    size.spans
                );
                batch.payload(size).give_up(Loss::TooLarge, detail);
                continue;
            }
        }
        if payloads
            .last()
            .is_none_or(|last| last.size().wire + size.wire > config.max_payload_bytes)
        {
            payloads.push(TraceChunks::default());
        }
        if let Some(last) = payloads.last_mut() {
            last.push_share(chunk);
        }
    }
    let payload = |chunks: TraceChunks| {
        let size = chunks.size();
        (chunks, batch.payload(size))
    };
    payloads.into_iter().map(payload).collect()
}

async fn build(config: &Config, runtime: &Runtime) -> Result<AgentExporter, String> {
    let mut builder = TraceExporterBuilder::new();
    builder
        .set_shared_runtime(runtime.for_workers())
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
