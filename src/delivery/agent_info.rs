//! What the agent says about itself at `/info`.
//!
//! The trace exporter has a reader of `/info` too, but keeps one answer for all exporters of a
//! process and leaves out what it doesn't use, `span_events` among it.

use super::http_client::{HttpClient, read_body};
use crate::config::AgentUrl;
use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Age at which an answer is renewed.
const REFRESH: Duration = Duration::from_secs(300);
/// Pause after a request without a usable answer, and after a change of the agent's state.
const TRY_AGAIN: Duration = Duration::from_secs(5);

pub struct AgentInfo {
    url: Uri,
    timeout: Duration,
    http: Arc<dyn HttpClient>,
    found: Arc<Found>,
    asked: Mutex<Asked>,
}

/// When the agent was asked last.
#[derive(Default)]
struct Asked {
    at: Option<Instant>,
    is_stale: bool,
    /// The last `Datadog-Agent-State`, which changes when `/info` does.
    state: Option<String>,
}

/// The agent's last usable answer.
#[derive(Default)]
struct Found {
    any: AtomicBool,
    span_events: AtomicBool,
}

impl AgentInfo {
    pub fn new(agent: &AgentUrl, timeout: Duration, http: Arc<dyn HttpClient>) -> Self {
        Self {
            url: agent.join("/info"),
            // Requests to an agent that hangs must not pile up.
            timeout: timeout.min(TRY_AGAIN),
            http,
            found: Arc::default(),
            asked: Mutex::default(),
        }
    }

    /// Returns whether the agent takes typed span events: `false` until it has said so.
    pub fn span_events(&self) -> bool {
        self.found.span_events.load(Ordering::Relaxed)
    }

    /// Asks the agent in the background if its last answer is too old.
    pub fn keep_fresh(&self) {
        let mut asked = self.asked();
        let found = self.found.any.load(Ordering::Relaxed);
        let fresh = match found && !asked.is_stale {
            true => REFRESH,
            false => TRY_AGAIN,
        };
        if asked.at.is_some_and(|at| at.elapsed() < fresh) {
            return;
        }
        asked.at = Some(Instant::now());
        asked.is_stale = false;
        drop(asked);
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = self.url.clone();
        let head = self.http.send(request);
        let deadline = Instant::now() + self.timeout;
        let found = Arc::clone(&self.found);
        tokio::spawn(async move {
            let Ok(Ok(head)) = tokio::time::timeout_at(deadline, head).await else {
                return;
            };
            let answer = read_body(head, deadline).await;
            let span_events = match answer.status() {
                StatusCode::OK => serde_json::from_slice::<serde_json::Value>(answer.body())
                    .is_ok_and(|info| info["span_events"] == true),
                // An agent from before there was an `/info`.
                StatusCode::NOT_FOUND => false,
                _ => return,
            };
            found.span_events.store(span_events, Ordering::Relaxed);
            found.any.store(true, Ordering::Relaxed);
        });
    }

    /// Notes the state that came with an answer. A new state makes the last `/info` stale.
    pub fn note_state(&self, state: Option<String>) {
        let mut asked = self.asked();
        if state.is_some() && state != asked.state {
            asked.is_stale |= asked.state.is_some();
            asked.state = state;
        }
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::http_client::tests::{Script, ScriptedClient};
    use super::*;

    fn info(client: &Arc<ScriptedClient>) -> AgentInfo {
        let agent = AgentUrl::parse("http://agent:8126").unwrap();
        AgentInfo::new(&agent, Duration::from_secs(2), client.clone())
    }

    fn client(script: impl IntoIterator<Item = Script>) -> Arc<ScriptedClient> {
        let client = ScriptedClient::new([]);
        client.info.lock().unwrap().extend(script);
        client
    }

    fn asked(client: &ScriptedClient) -> usize {
        client.info_requests.lock().unwrap().len()
    }

    /// Asks if it is time to, and lets the answer arrive.
    async fn ask(info: &AgentInfo) {
        info.keep_fresh();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    const TYPED: Script = Script::Answer(200, r#"{"span_events":true}"#);

    #[tokio::test(start_paused = true)]
    async fn span_events_are_typed_once_the_agent_says_that_it_takes_them() {
        let client = client([TYPED]);
        let info = info(&client);
        assert!(!info.span_events());
        ask(&info).await;
        assert!(info.span_events());
        let requests = client.info_requests.lock().unwrap();
        assert_eq!(requests[0].1.uri(), "http://agent:8126/info");
    }

    #[tokio::test(start_paused = true)]
    async fn answers_without_span_events_leave_them_as_json() {
        for body in ["{}", "not JSON", r#"{"span_events":1}"#, "[]"] {
            let client = client([Script::Answer(200, body)]);
            let info = info(&client);
            ask(&info).await;
            assert!(!info.span_events(), "{body}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_renewed_after_five_minutes() {
        let client = client([Script::Answer(404, ""), TYPED]);
        let info = info(&client);
        ask(&info).await;
        tokio::time::advance(REFRESH - Duration::from_secs(1)).await;
        ask(&info).await;
        assert_eq!(asked(&client), 1);
        tokio::time::advance(Duration::from_secs(1)).await;
        ask(&info).await;
        assert_eq!(asked(&client), 2);
        assert!(info.span_events());
    }

    #[tokio::test(start_paused = true)]
    async fn without_an_answer_the_agent_is_asked_again_after_five_seconds() {
        for failure in [
            Script::Hang,
            Script::Fail("refused"),
            Script::Answer(503, "busy"),
        ] {
            let client = client([failure, TYPED]);
            let info = info(&client);
            ask(&info).await;
            ask(&info).await;
            assert_eq!(asked(&client), 1);
            tokio::time::advance(TRY_AGAIN).await;
            ask(&info).await;
            assert!(info.span_events());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_state_of_the_agent_makes_the_answer_stale() {
        let client = client([TYPED, Script::Answer(200, "{}")]);
        let info = info(&client);
        ask(&info).await;
        for state in [None, Some("a"), Some("a"), None] {
            info.note_state(state.map(str::to_owned));
            tokio::time::advance(TRY_AGAIN).await;
            ask(&info).await;
            assert_eq!(asked(&client), 1, "{state:?}");
        }
        info.note_state(Some("b".into()));
        ask(&info).await;
        assert_eq!(asked(&client), 2);
        assert!(!info.span_events());
    }
}
