//! The task that takes payloads from a queue and has them delivered.

use super::agent_info::AgentInfo;
use super::attempts::Delivery;
use super::breaker::Breaker;
use super::capability::STATISTICS;
use super::http_client::{AgentConnections, HttpClient};
use super::sdk_spans;
use super::statistics::StatisticsRequests;
use super::trace_exporter::{self, AgentExporter};
use crate::config::Config;
use crate::otel::otlp;
use crate::queue::{Count, Flush, Payload, Queue, Work};
use crate::report::stats::Loss;
use crate::runtime::Runtime;
use crate::span::{self, AGENT_MAX_BYTES, SpanBytes};
use libdd_shared_runtime::BasicRuntime;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;

const RESTART_PAUSE: Duration = Duration::from_millis(100);
/// Panics in a row, without a payload sent in between, after which the sender stops.
const MAX_PANICS: u32 = 10;
/// How long an exporter with statistics waits at its end for the agent to say that it takes them, as a
/// process does that is shorter than a flush interval.
const LAST_ANSWER: Duration = Duration::from_millis(100);
/// How long the trace exporter's workers may take to stop.
const WORKERS_STOP: Duration = Duration::from_secs(5);

/// What the payloads of one sender share.
#[derive(Clone)]
struct Sender {
    config: Arc<Config>,
    queue: Arc<Queue>,
    workers: Arc<BasicRuntime>,
    http: Arc<dyn HttpClient>,
    breaker: Arc<Breaker>,
    info: Arc<AgentInfo>,
    statistics: Arc<StatisticsRequests>,
    /// Made for the first payload, and kept when the sender starts again: another one would have a worker for
    /// statistics of its own, beside that of the first.
    exporter: Arc<OnceCell<Arc<AgentExporter>>>,
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
        let statistics =
            StatisticsRequests::new(Arc::clone(&config), Arc::clone(&http), Arc::clone(&queue));
        Self {
            config,
            queue,
            workers,
            http,
            breaker: Arc::new(Breaker::new()),
            info: Arc::new(info),
            statistics,
            exporter: Arc::default(),
        }
    }

    async fn run(self) {
        // A panic costs the payloads in flight, which `Payload` counts, and nothing else.
        let mut panics = 0;
        let mut payloads_sent = 0;
        let mut detail = "the exporter has been shut down".to_owned();
        while let Err(panic) = tokio::spawn(self.clone().send_all()).await {
            let sent = self.queue.stats().payloads_sent;
            if std::mem::replace(&mut payloads_sent, sent) != sent {
                panics = 0;
            }
            panics += 1;
            tokio::time::sleep(RESTART_PAUSE).await;
            if panics == MAX_PANICS {
                detail = format!("the sender has stopped after {panics} internal errors: {panic}");
                break;
            }
        }
        let exporter = Arc::into_inner(self.exporter).and_then(OnceCell::into_inner);
        if let Some(exporter) = exporter.and_then(Arc::into_inner) {
            let _ = exporter.shutdown_async(Some(WORKERS_STOP)).await;
            self.statistics.settled().await;
        }
        self.queue.finish(&detail);
    }

    async fn send_all(self) {
        // Payloads wait for their retries side by side; the breaker lets one at a time to the agent.
        let mut deliveries = JoinSet::new();
        while let Some(work) = self.queue.due().await {
            while deliveries.try_join_next().is_some() {}
            if let Work::Statistics(number) = work {
                let flush = self.queue.statistics_flush(number);
                deliveries.spawn(self.clone().flush_statistics(flush));
                continue;
            }
            self.breaker.ready().await;
            #[cfg(test)]
            tests::panic_if_asked();
            let Some(payload) = self.queue.take() else {
                continue;
            };
            self.learn_of_agent(&payload).await;
            let building = self.exporter.get_or_try_init(|| self.build_exporter());
            match building.await {
                Ok(exporter) => {
                    deliveries.spawn(self.clone().deliver(Arc::clone(exporter), payload));
                    // Lets the delivery begin, so that the breaker is no longer ready.
                    tokio::task::yield_now().await;
                }
                Err(error) => payload.give_up(Loss::Internal, error),
            }
        }
        while deliveries.join_next().await.is_some() {}
    }

    /// Asks the agent about itself when it is time to, and waits for its first answer if the form of the
    /// payload depends on it.
    async fn learn_of_agent(&self, payload: &Payload) {
        if self.config.otlp.is_some() {
            return;
        }
        self.info.keep_fresh();
        let asks_for_events = self.config.span_events.is_none() && payload.has_span_events();
        if self.config.stats || asks_for_events {
            tokio::select! {
                () = self.info.first_answer() => {}
                () = self.end_of_patience() => self.info.wait_no_more(),
            }
        }
    }

    /// Waits until the end of the exporter or of the process, when time is short, leaves no more of it
    /// for the agent's first answer.
    async fn end_of_patience(&self) {
        self.queue.ending().await;
        if self.config.stats {
            tokio::time::sleep(LAST_ANSWER).await;
        }
    }

    async fn deliver(self, exporter: Arc<AgentExporter>, mut payload: Payload) {
        let mut chunks = payload.take_chunks();
        if let Err(detail) = self.prepare(&mut chunks, &payload) {
            return payload.give_up(Loss::TooLarge, detail);
        }
        #[cfg(test)]
        assert_ne!(chunks[0][0].name, "panic");
        let mut chunks = span::pool().wrap_chunks(chunks);
        let all = Count::from(payload.size());
        // What the SDK exports it has sampled.
        let sampled_out = match self.config.otlp {
            Some(_) if !otlp::are_carried(&chunks) => span::drop_unsampled(&mut chunks),
            _ => Count::default(),
        };
        if self.config.stats {
            self.info.show().await;
        }
        let has_future = self.config.stats && chunks.iter().flatten().any(span::ends_in_future);
        let delivery = Delivery::new(
            Arc::clone(&self.config),
            self.http,
            self.breaker,
            payload.tracker(),
            all - sampled_out,
        );
        let mut outcome = match &self.config.otlp {
            Some(endpoint) if otlp::are_carried(&chunks) => {
                let exporting = sdk_spans::send(&self.config, endpoint, chunks);
                delivery.send(exporting).await
            }
            _ => {
                let exporting = exporter.send_trace_chunks_async(chunks);
                delivery.send(exporting).await
            }
        };
        if has_future {
            exporter.flush_client_side_stats_async().await;
        }
        outcome.sampled_out += sampled_out;
        span::reclaim_spans();
        for accepted in &outcome.accepted {
            self.info.note_state(accepted.agent_state.clone());
        }
        payload.settle(outcome);
    }

    /// Makes spans ready for their format.
    ///
    /// # Errors
    /// When they are a single chunk that is too large: how large.
    fn prepare(&self, chunks: &mut [Vec<SpanBytes>], payload: &Payload) -> Result<(), String> {
        match &self.config.otlp {
            Some(endpoint) => {
                let left_out = match otlp::are_carried(chunks) {
                    true => span::leave_out_infinities(chunks, endpoint.protocol),
                    false => span::prepare_for_otlp(chunks, endpoint.protocol),
                };
                if let Some(example) = &left_out.example {
                    payload.tracker().left_out(left_out.values, example);
                }
            }
            None => {
                let typed_events = self.config.span_events;
                let typed_events = typed_events.unwrap_or_else(|| self.info.span_events());
                span::prepare(chunks, typed_events);
                if self.config.stats {
                    let spans = chunks.iter_mut().flatten();
                    spans.for_each(span::limit_duration);
                }
            }
        }
        // The size is an upper bound; the exact length is worth its price only near the limit.
        let size = payload.size();
        if size.wire > AGENT_MAX_BYTES
            && let [chunk] = chunks
        {
            let bytes = span::encoded_len(chunk);
            if bytes > AGENT_MAX_BYTES {
                let spans = size.spans;
                let accepting = match self.config.otlp {
                    Some(_) => "at most",
                    None => "the agent accepts",
                };
                return Err(format!(
                    "a trace of {spans} spans takes {bytes} bytes, {accepting} {AGENT_MAX_BYTES}"
                ));
            }
        }
        Ok(())
    }

    /// Sends the statistics that were computed so far.
    async fn flush_statistics(self, flush: Flush) {
        if let Some(exporter) = self.exporter.get() {
            exporter.flush_client_side_stats_async().await;
            self.statistics.settled().await;
        }
        drop(flush);
    }

    async fn build_exporter(&self) -> Result<Arc<AgentExporter>, String> {
        let building = trace_exporter::build(&self.config, Arc::clone(&self.workers));
        let statistics = Arc::clone(&self.statistics);
        STATISTICS.scope(statistics, building).await.map(Arc::new)
    }
}

#[cfg(test)]
mod tests;
