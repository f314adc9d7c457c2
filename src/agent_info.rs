//! What the agent says of itself at `/info`, read for each exporter.
//!
//! The trace exporter reads `/info` too, but keeps one answer for all exporters of a process and
//! leaves out what it does not use, `span_events` among it.

use crate::config::AgentUrl;
use crate::delivery::AgentClient;
use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use libdd_capabilities::HttpClientCapability;
use libdd_capabilities_impl::ResponseBodyLimit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const REFRESH: Duration = Duration::from_secs(300);
/// When an agent could not be asked.
const TRY_AGAIN: Duration = Duration::from_secs(5);
const LARGEST_ANSWER: usize = 1024 * 1024;

pub struct AgentInfo {
    url: Uri,
    timeout: Duration,
    client: AgentClient,
    found: Arc<Found>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    asked: Option<Instant>,
    stale: bool,
    /// The last `Datadog-Agent-State`, which changes when `/info` does.
    state: Option<String>,
}

#[derive(Default)]
struct Found {
    answered: AtomicBool,
    span_events: AtomicBool,
}

impl AgentInfo {
    pub fn new(agent: &AgentUrl, timeout: Duration) -> Self {
        Self {
            url: agent.join("/info"),
            // So that questions to an agent that hangs don't pile up.
            timeout: timeout.min(TRY_AGAIN),
            client: AgentClient::new_client(),
            found: Arc::default(),
            known: Mutex::default(),
        }
    }

    /// Whether the agent takes span events as they are. False until it has said so.
    pub fn span_events(&self) -> bool {
        self.found.span_events.load(Ordering::Relaxed)
    }

    /// Asks the agent in the background when that is due.
    pub fn keep_fresh(&self) {
        let answered = self.found.answered.load(Ordering::Relaxed);
        let mut known = self.known();
        let fresh = if answered && !known.stale {
            REFRESH
        } else {
            TRY_AGAIN
        };
        if known.asked.is_some_and(|asked| asked.elapsed() < fresh) {
            return;
        }
        known.asked = Some(Instant::now());
        known.stale = false;
        drop(known);
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = self.url.clone();
        request
            .extensions_mut()
            .insert(ResponseBodyLimit(LARGEST_ANSWER));
        let (client, found, timeout) = (self.client.clone(), Arc::clone(&self.found), self.timeout);
        tokio::spawn(async move {
            let answer = tokio::time::timeout(timeout, client.request(request)).await;
            let Ok(Ok(response)) = answer else { return };
            let span_events = match response.status() {
                StatusCode::OK => serde_json::from_slice::<serde_json::Value>(response.body())
                    .is_ok_and(|info| info["span_events"] == true),
                // An agent from before there was an `/info`.
                StatusCode::NOT_FOUND => false,
                _ => return,
            };
            found.span_events.store(span_events, Ordering::Relaxed);
            found.answered.store(true, Ordering::Relaxed);
        });
    }

    /// Takes note of the state that came with an answer; a new one makes what is known stale.
    pub fn note_state(&self, state: Option<String>) {
        let mut known = self.known();
        if state.is_some() && state != known.state {
            known.stale |= known.state.is_some();
            known.state = state;
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
