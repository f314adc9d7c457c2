//! The task that takes batches from a queue and sends them, one after the other.

use crate::agent_info::AgentInfo;
use crate::chunks::{Chunk, TraceChunks};
use crate::config::Config;
use crate::delivery::{AgentClient, Delivery, Failure};
use crate::events;
use crate::queue::{Batch, MAX_PAYLOAD_BYTES, Queue};
use crate::runtime::Runtime;
use crate::size::Size;
use crate::stats::Loss;
use libdd_data_pipeline::trace_exporter::{TraceExporter, TraceExporterBuilder};
use libdd_shared_runtime::BasicRuntime;
use libdd_trace_utils::msgpack_encoder::v04::to_encoded_byte_len_from_v04;
use libdd_trace_utils::span::span_pool::PooledChunks;
use libdd_trace_utils::span::v04::SpanBytes;
use std::sync::Arc;
use std::time::Duration;

/// What an agent takes at most in one request (`max_request_bytes` of the Go agent).
const AGENT_MAX_BYTES: usize = 25 * 1024 * 1024;
/// Beyond any delivery: the trace exporter's own timeout must not cut one off.
const LIBRARY_TIMEOUT_MS: u64 = 3_600_000;
const RESTART_PAUSE: Duration = Duration::from_millis(100);
const WORKERS_STOP: Duration = Duration::from_secs(5);

type AgentExporter = TraceExporter<AgentClient, BasicRuntime>;

/// Starts to send what is put into `queue`, until it is closed and empty.
pub fn start(runtime: &'static Runtime, config: Arc<Config>, queue: Arc<Queue>) {
    runtime.spawn(async move {
        // A panic loses the batch it happened in, which `Batch` counts, and nothing else.
        loop {
            let sending = tokio::spawn(send_all(runtime, Arc::clone(&config), Arc::clone(&queue)));
            match sending.await {
                Ok(exporter) => {
                    queue.end();
                    if let Ok(exporter) = exporter {
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
) -> Result<AgentExporter, String> {
    let mut exporter = build(&config, runtime).await;
    let mut info = AgentInfo::new(&config.agent_url, config.agent_timeout);
    info.keep_fresh();
    while let Some(mut batch) = queue.next().await {
        for (chunks, size) in payloads(&mut batch) {
            info.keep_fresh();
            if exporter.is_err() {
                exporter = build(&config, runtime).await;
            }
            match &exporter {
                Ok(exporter) => {
                    let delivery = new_delivery(&config, &queue);
                    deliver(exporter, delivery, &mut info, &mut batch, chunks, size).await;
                }
                Err(error) => batch.lost(size, Loss::Internal, error.clone(), None),
            }
        }
    }
    exporter
}

fn new_delivery(config: &Config, queue: &Arc<Queue>) -> Arc<Delivery> {
    let queue = Arc::clone(queue);
    let agent = config.agent_url.to_string();
    Delivery::new(agent, config.agent_timeout, move || queue.retried())
}

async fn deliver(
    exporter: &AgentExporter,
    delivery: Arc<Delivery>,
    info: &mut AgentInfo,
    batch: &mut Batch,
    mut chunks: Vec<Vec<SpanBytes>>,
    size: Size,
) {
    if !info.span_events() {
        chunks.iter_mut().flatten().for_each(events::into_meta);
    }
    let exporting = exporter.send_trace_chunks_async(PooledChunks::unpooled(chunks));
    match delivery.send(exporting).await {
        Ok(accepted) => {
            info.note_state(accepted.agent_state);
            batch.sent(size, accepted.bytes, accepted.body);
        }
        Err(Failure {
            loss,
            detail,
            answer,
        }) => batch.lost(size, loss, detail, answer),
    }
}

/// The chunks of a batch in payloads of the size that agents like. A chunk that no agent takes is
/// given up here, so that it does not cost its neighbours.
fn payloads(batch: &mut Batch) -> Vec<(Vec<Vec<SpanBytes>>, Size)> {
    let mut payloads: Vec<(Vec<Vec<SpanBytes>>, Size)> = Vec::new();
    let chunks = std::mem::take(&mut batch.chunks);
    for chunk in chunks.into_iter().flat_map(TraceChunks::into_chunks) {
        let size = chunk.size();
        let spans = Chunk::into_spans(chunk);
        // The sum is an upper bound; the exact length is worth its price only near the limit.
        if size.wire > AGENT_MAX_BYTES {
            let bytes = to_encoded_byte_len_from_v04(&[&spans]) as usize;
            if bytes > AGENT_MAX_BYTES {
                let detail = format!(
                    "a trace of {} spans takes {bytes} bytes, the agent accepts {AGENT_MAX_BYTES}",
                    size.spans
                );
                batch.lost(size, Loss::TooLarge, detail, None);
                continue;
            }
        }
        match payloads.last_mut() {
            Some((chunks, sum)) if sum.wire + size.wire <= MAX_PAYLOAD_BYTES => {
                chunks.push(spans);
                *sum += size;
            }
            _ => payloads.push((vec![spans], size)),
        }
    }
    payloads
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
    if let Some(token) = &config.test_session_token {
        builder.set_test_session_token(token.as_str());
    }
    let exporter = builder.build_async::<AgentClient>().await;
    exporter.map_err(|error| error.to_string())
}
