//! What the agent says about itself at `/info`.
//!
//! The trace exporter has a reader of `/info` too, but keeps one answer for all exporters of a
//! process and leaves out what it doesn't use, `span_events` among it. It gets what is read here, see
//! [`known_info`].

use super::http_client::{HttpClient, read_body};
use super::known_info::{self, NOTHING};
use crate::config::Config;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use libdd_common::Endpoint;
use libdd_data_pipeline::agent_info::schema::AgentInfoStruct;
use libdd_trace_utils::trace_utils::TracerHeaderTags;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Age at which an answer is renewed.
const REFRESH: Duration = Duration::from_secs(300);
/// Pause after a request without a usable answer, and after a change of the agent's state.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// How long the first payload waits for the first answer, if its form depends on it.
const FIRST_ANSWER: Duration = Duration::from_secs(1);
const USER_AGENT: &str = concat!("datadog-native-export/", env!("CARGO_PKG_VERSION"));

pub struct AgentInfo {
    config: Arc<Config>,
    http: Arc<dyn HttpClient>,
    found: watch::Sender<Found>,
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

/// What is known about the agent.
#[derive(Default)]
struct Found {
    /// Whether the first request is over, with or without an answer.
    has_asked: bool,
    /// The last usable answer.
    answer: Option<Answer>,
}

struct Answer {
    span_events: bool,
    /// As much of it as the trace exporter understands.
    info: Bytes,
}

impl AgentInfo {
    pub fn new(config: Arc<Config>, http: Arc<dyn HttpClient>) -> Self {
        Self {
            config,
            http,
            found: watch::Sender::new(Found::default()),
            asked: Mutex::default(),
        }
    }

    /// Returns whether the agent takes typed span events: `false` until it has said so.
    pub fn span_events(&self) -> bool {
        let found = self.found.borrow();
        found
            .answer
            .as_ref()
            .is_some_and(|answer| answer.span_events)
    }

    /// Has the trace exporter know what the agent has said about itself.
    pub async fn show(&self) {
        let info = match &self.found.borrow().answer {
            Some(answer) => answer.info.clone(),
            None => NOTHING,
        };
        known_info::show(&info).await;
    }

    /// Has nobody wait for the first answer any more.
    pub fn wait_no_more(&self) {
        self.found.send_modify(|found| found.has_asked = true);
    }

    /// Waits for the end of the first request, at most [`FIRST_ANSWER`]. Later calls don't wait.
    pub async fn first_answer(&self) {
        let mut found = self.found.subscribe();
        let answered = found.wait_for(|found| found.has_asked);
        if tokio::time::timeout(FIRST_ANSWER, answered).await.is_err() {
            self.wait_no_more();
        }
    }

    /// Asks the agent in the background if its last answer is too old.
    pub fn keep_fresh(&self) {
        let mut asked = self.asked();
        let fresh = match self.found.borrow().answer.is_some() && !asked.is_stale {
            true => REFRESH,
            false => TRY_AGAIN,
        };
        if asked.at.is_some_and(|at| at.elapsed() < fresh) {
            return;
        }
        asked.at = Some(Instant::now());
        asked.is_stale = false;
        drop(asked);
        let head = self.http.send(self.request());
        // Requests to an agent that hangs must not pile up.
        let deadline = Instant::now() + self.config.agent_timeout.min(TRY_AGAIN);
        let found = self.found.clone();
        tokio::spawn(async move {
            let answer = match tokio::time::timeout_at(deadline, head).await {
                Ok(Ok(head)) => Answer::read(&read_body(head, deadline).await),
                _ => None,
            };
            found.send_modify(|found| {
                found.has_asked = true;
                found.answer = answer.or(found.answer.take());
            });
        });
    }

    /// Returns the request, with the headers that the trace exporter's requests carry.
    fn request(&self) -> Request<Bytes> {
        let Config {
            agent_url,
            tracer,
            test_session_token,
            headers,
            ..
        } = &*self.config;
        let url = agent_url.join("/info");
        let endpoint = Endpoint {
            url: url.clone(),
            test_token: test_session_token
                .as_ref()
                .map(|token| token.as_str().to_owned().into()),
            ..Endpoint::default()
        };
        let builder = endpoint.set_standard_headers(Request::get(url), USER_AGENT);
        let mut request = builder.body(Bytes::new()).unwrap_or_default();
        let meta = HeaderMap::from(TracerHeaderTags {
            lang: tracer.language.as_str(),
            lang_version: tracer.language_version.as_str(),
            lang_interpreter: tracer.interpreter.as_str(),
            lang_vendor: tracer.interpreter_vendor.as_str(),
            tracer_version: tracer.version.as_str(),
            ..TracerHeaderTags::default()
        });
        request.headers_mut().extend(meta);
        for (name, value) in headers {
            request.headers_mut().insert(name, value.clone());
        }
        request
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

impl Answer {
    /// Reads an answer to `/info`. Returns `None` if it says nothing.
    fn read(answer: &Response<Bytes>) -> Option<Self> {
        let info = match answer.status() {
            StatusCode::OK => answer.body(),
            // An agent from before there was an `/info`.
            StatusCode::NOT_FOUND => &NOTHING,
            _ => return None,
        };
        let value = serde_json::from_slice::<serde_json::Value>(info);
        let is_understood = serde_json::from_slice::<AgentInfoStruct>(info).is_ok();
        Some(Self {
            span_events: value.is_ok_and(|info| info["span_events"] == true),
            info: match is_understood {
                true => info.clone(),
                false => NOTHING,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::http_client::tests::{Script, ScriptedClient};
    use super::*;
    use crate::config::{HeaderText, add_header};
    use crate::testing::config;

    fn info(client: &Arc<ScriptedClient>) -> AgentInfo {
        AgentInfo::new(Arc::new(config()), client.clone())
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

    #[tokio::test(start_paused = true)]
    async fn the_request_carries_the_headers_of_the_others() {
        let mut config = config();
        config.test_session_token = HeaderText::parse("token").ok();
        add_header(&mut config.headers, "Datadog-Container-ID", "abc").unwrap();
        let client = client([]);
        let info = AgentInfo::new(Arc::new(config), client.clone());
        ask(&info).await;
        let requests = client.info_requests.lock().unwrap();
        let headers = requests[0].1.headers();
        for (name, value) in [
            ("datadog-meta-lang", "test"),
            ("datadog-meta-lang-version", "test"),
            ("datadog-meta-lang-interpreter", "test"),
            ("datadog-meta-lang-interpreter-vendor", "test"),
            ("datadog-meta-tracer-version", "test"),
            ("datadog-container-id", "abc"),
            ("x-datadog-test-session-token", "token"),
        ] {
            let found: Vec<_> = headers.get_all(name).iter().collect();
            assert_eq!(found, [value], "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_answer_is_waited_for_up_to_a_bound_and_once() {
        for (script, waits) in [
            (Script::Slow(Duration::from_millis(300), 200), 300),
            (Script::Slow(Duration::from_millis(300), 503), 300),
            (Script::Fail("refused"), 0),
            (Script::Hang, 1_000),
        ] {
            let client = client([script]);
            let info = info(&client);
            info.keep_fresh();
            for waits in [waits, 0] {
                let began = Instant::now();
                info.first_answer().await;
                assert_eq!(began.elapsed().as_millis(), waits);
            }
        }
    }
}
