//! The task that takes payloads from a queue and has them delivered.

use super::agent_info::AgentInfo;
use super::attempts::Delivery;
use super::breaker::Breaker;
use super::capability::AgentClient;
use super::http_client::{AgentConnections, HttpClient};
use crate::config::Config;
use crate::queue::{AGENT_MAX_BYTES, Payload, Queue};
use crate::report::stats::Loss;
use crate::runtime::Runtime;
use crate::span;
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
mod tests {
    use super::super::http_client::tests::{Script, ScriptedClient};
    use super::*;
    use crate::config::HeaderText;
    use crate::report::stats::Stats;
    use crate::span::{Chunk, TraceChunks};
    use crate::testing::{chunk, chunks, config, list, named};
    use libdd_trace_utils::msgpack_decoder;
    use libdd_trace_utils::span::v04::SpanEventBytes;
    use std::future::Future;

    /// Runs a sender over the real trace exporter, with a scripted agent and a paused clock, while
    /// `test` does something with its queue, and until everything is sent. Returns the counters.
    fn sending<F: Future>(
        client: &Arc<ScriptedClient>,
        change: impl FnOnce(&mut Config),
        test: impl FnOnce(Arc<Queue>) -> F,
    ) -> Stats {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        let runtime = Arc::new(runtime);
        let workers = Arc::new(BasicRuntime::from_handle(Arc::clone(&runtime)));
        let mut config = config();
        change(&mut config);
        let queue = Arc::new(Queue::new(&config));
        let sender = Sender::new(
            Arc::new(config),
            Arc::clone(&queue),
            workers,
            client.clone(),
        );
        runtime.block_on(async {
            let sending = tokio::spawn(sender.run());
            test(Arc::clone(&queue)).await;
            queue.close();
            sending.await.unwrap();
        });
        queue.stats()
    }

    /// Sends the chunks and returns the counters.
    fn send(client: &Arc<ScriptedClient>, chunks: TraceChunks) -> Stats {
        sending(
            client,
            |_| (),
            |queue| async move {
                queue.push(chunks, None);
            },
        )
    }

    /// Returns the names of the first spans of the chunks of each request.
    fn names(client: &ScriptedClient) -> Vec<Vec<String>> {
        let requests = client.requests.lock().unwrap();
        let requests = requests.iter().map(|(_, request)| {
            let body = request.body().clone();
            let (chunks, _) = msgpack_decoder::v04::from_slice(&body).unwrap();
            let names = chunks.iter().map(|chunk| chunk[0].name.to_string());
            names.collect()
        });
        requests.collect()
    }

    #[test]
    fn chunks_are_encoded_with_the_headers_of_the_tracer() {
        let client = ScriptedClient::new([]);
        let stats = send(&client, list([named("a", 1), named("b", 2)]));
        assert_eq!((stats.spans_sent, stats.payloads_sent), (3, 1));
        assert_eq!(names(&client), [["a", "b"]]);
        let requests = client.requests.lock().unwrap();
        let request = &requests[0].1;
        assert_eq!(request.uri(), "http://agent:8126/v0.4/traces");
        for (name, value) in [
            ("content-type", "application/msgpack"),
            ("x-datadog-trace-count", "2"),
            ("datadog-meta-lang", "test"),
            ("datadog-meta-tracer-version", "test"),
        ] {
            assert_eq!(request.headers()[name], value, "{name}");
        }
        assert_eq!(stats.bytes_sent, request.body().len() as u64);
    }

    #[test]
    fn payloads_are_delivered_in_turn_and_each_on_its_own() {
        let client = ScriptedClient::new([Script::Answer(400, "no")]);
        let all = |queue: Arc<Queue>| async move {
            for name in ["a", "b", "c"] {
                queue.push(list([named(name, 1)]), None);
            }
        };
        let stats = sending(&client, |config| config.max_payload_bytes = 1, all);
        assert_eq!(names(&client), [["a"], ["b"], ["c"]]);
        assert_eq!(
            (stats.spans_sent, stats.dropped[Loss::Refused as usize]),
            (2, 1)
        );
    }

    #[test]
    fn chunks_stay_in_the_queue_while_a_request_is_under_way() {
        let client = ScriptedClient::new([Script::Slow(Duration::from_secs(1), 200)]);
        let outage = |queue: Arc<Queue>| async move {
            for spans in [1, 2, 3] {
                queue.push(chunks(&[spans]), None);
                drop(queue.flush());
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let stats = queue.stats();
            assert_eq!((stats.in_flight.spans, stats.queued.spans), (1, 5));
        };
        let stats = sending(&client, |_| (), outage);
        assert_eq!((stats.spans_sent, stats.payloads_sent), (6, 2));
    }

    #[test]
    fn a_chunk_that_no_agent_takes_costs_only_itself() {
        let mut large = named("large", 1);
        large.spans[0]
            .meta_struct
            .insert("k".into(), vec![0; AGENT_MAX_BYTES].into());
        let with_bound = |mut chunk: Chunk| {
            chunk.size.wire = AGENT_MAX_BYTES + 1;
            chunk
        };
        let client = ScriptedClient::new([]);
        let all = [
            named("a", 1),
            with_bound(large),
            with_bound(named("b", 1)),
            named("c", 1),
        ];
        let stats = send(&client, list(all));
        assert_eq!(names(&client), [["a"], ["b"], ["c"]]);
        assert_eq!(
            (stats.spans_sent, stats.dropped[Loss::TooLarge as usize]),
            (3, 1)
        );
        let error = stats.last_error.unwrap();
        assert!(
            error.starts_with("a trace of 1 spans takes 2621"),
            "{error}"
        );
    }

    #[test]
    fn a_panic_costs_one_payload() {
        let client = ScriptedClient::new([]);
        let all = |queue: Arc<Queue>| async move {
            for name in ["a", "panic", "b"] {
                queue.push(list([named(name, 2)]), None);
            }
        };
        let stats = sending(&client, |config| config.max_payload_bytes = 1, all);
        assert_eq!(names(&client), [["a"], ["b"]]);
        assert_eq!(
            (stats.spans_sent, stats.dropped[Loss::Internal as usize]),
            (4, 2)
        );
        assert_eq!(stats.in_flight.spans, 0);
    }

    #[test]
    fn a_sender_that_panics_again_and_again_stops_and_says_so() {
        let client = ScriptedClient::new([]);
        let always = |config: &mut Config| {
            config.tracer.language = HeaderText::parse("panic").unwrap();
        };
        let all = |queue: Arc<Queue>| async move {
            queue.push(chunks(&[3]), None);
            let flush = queue.flush();
            tokio::time::sleep(Duration::from_secs(5)).await;
            assert!(flush.wait(Duration::ZERO));
            assert!(!queue.push(chunks(&[2]), None));
            let lines = queue.take_lines();
            let expected = "(internal): the sender has stopped after 10 internal errors";
            assert!(lines[0].contains(expected), "{lines:?}");
        };
        let stats = sending(&client, always, all);
        assert_eq!(stats.dropped[Loss::Internal as usize], 5);
        assert!(stats.last_error.unwrap().contains("has stopped"));
    }

    #[test]
    fn the_sender_waits_for_payloads_in_flight_when_the_queue_is_closed() {
        let client = ScriptedClient::new([Script::Slow(Duration::from_secs(1), 200)]);
        assert_eq!(send(&client, list([chunk(4)])).spans_sent, 4);
    }

    #[test]
    fn the_agent_is_asked_for_its_info_once() {
        let client = ScriptedClient::new([]);
        let all = |queue: Arc<Queue>| async move {
            for _ in 0..3 {
                queue.push(chunks(&[1]), None);
                drop(queue.flush());
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        sending(&client, |_| (), all);
        assert_eq!(client.count(), 3);
        assert_eq!(client.info_requests.lock().unwrap().len(), 1);
    }

    fn with_event() -> TraceChunks {
        let mut chunk = chunk(1);
        chunk.spans[0].span_events = vec![SpanEventBytes::default()];
        list([chunk])
    }

    /// Returns whether the events of the first payload were sent typed, and how long that took.
    fn first_events(
        info: Script,
        change: impl FnOnce(&mut Config),
        end: fn(&Queue),
    ) -> (bool, Duration) {
        let client = ScriptedClient::new([]);
        client.info.lock().unwrap().push_back(info);
        let began = std::cell::Cell::new(None);
        let export = |queue: Arc<Queue>| {
            began.set(Some(tokio::time::Instant::now()));
            queue.push(with_event(), None);
            drop(queue.flush());
            async move {
                tokio::time::sleep(Duration::from_millis(100)).await;
                end(&queue);
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        };
        sending(&client, change, export);
        let requests = client.requests.lock().unwrap();
        let (at, request) = &requests[0];
        let (chunks, _) = msgpack_decoder::v04::from_slice(request.body()).unwrap();
        (
            !chunks[0][0].span_events.is_empty(),
            *at - began.get().unwrap(),
        )
    }

    const TAKES_EVENTS: &str = r#"{"span_events":true}"#;

    #[test]
    fn events_of_the_first_payload_are_typed_if_the_agent_takes_them() {
        let answer = Script::SlowInfo(Duration::from_millis(300), TAKES_EVENTS);
        let (typed, took) = first_events(answer, |_| (), |_| ());
        assert_eq!((typed, took.as_millis()), (true, 300));
    }

    #[test]
    fn events_do_not_wait_longer_than_a_second_for_the_agent_to_say_so() {
        let (typed, took) = first_events(Script::Hang, |_| (), |_| ());
        assert_eq!((typed, took.as_millis()), (false, 1_000));
    }

    #[test]
    fn events_do_not_wait_at_the_end_of_the_exporter_or_the_process() {
        let ends: [fn(&Queue); 2] = [Queue::close, |queue| queue.hasten()];
        for end in ends {
            let (typed, took) = first_events(Script::Hang, |_| (), end);
            assert_eq!((typed, took.as_millis()), (false, 100));
        }
    }

    #[test]
    fn events_do_not_wait_if_their_form_is_configured() {
        let typed = |config: &mut Config| config.span_events = Some(true);
        let (typed, took) = first_events(Script::Hang, typed, |_| ());
        assert_eq!((typed, took), (true, Duration::ZERO));
    }

    #[test]
    fn spans_without_events_do_not_wait() {
        let client = ScriptedClient::new([]);
        client.info.lock().unwrap().push_back(Script::Hang);
        let export = |queue: Arc<Queue>| async move {
            queue.push(chunks(&[1]), None);
            drop(queue.flush());
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert_eq!(queue.stats().spans_sent, 1);
        };
        sending(&client, |_| (), export);
    }
}
