//! The HTTP client underneath the delivery policy, which tests replace by a scripted one.

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use libdd_common::connector::Connector;
use libdd_common::http_common::{self, GenericHttpClient};
use std::error::Error;
use std::fmt::Write;
use std::future::Future;
use std::pin::Pin;
use tokio::time::Instant;

pub use libdd_common::http_common::Body;

/// Bytes that are read of an answer. An agent answers with sampling rates, a short error or its
/// `/info`.
pub const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// Bytes that the head of an answer may have, and that are read at a time. hyper reads 128 times in
/// a row before other tasks have their turn, as long as provisional answers (1xx) come.
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// As many as libdatadog's own clients keep.
const MAX_IDLE_CONNECTIONS: usize = 20;

pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Why a request got no answer.
#[derive(Debug, PartialEq)]
pub struct NoAnswer {
    pub cause: String,
    /// Whether a connection was made, so that the receiver may have got the request.
    pub may_have_arrived: bool,
}

impl NoAnswer {
    pub fn before_it_was_sent(cause: String) -> Self {
        Self {
            cause,
            may_have_arrived: false,
        }
    }
}

/// Makes HTTP requests.
pub trait HttpClient: Send + Sync {
    /// Sends a request. Resolves to the head of its answer, whose body is still to be read, or to
    /// why there is none.
    fn send(&self, request: Request<Bytes>) -> BoxFuture<Result<Response<Body>, NoAnswer>>;
}

/// hyper with libdatadog's connector for TCP, TLS and Unix sockets. It forgives what it can in the
/// head of an answer, whose status would be lost with it and the request repeated.
pub struct AgentConnections(GenericHttpClient<Connector>);

impl AgentConnections {
    pub fn new() -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
            .http1_ignore_invalid_headers_in_responses(true)
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_allow_spaces_after_header_name_in_responses(true)
            .http1_max_buf_size(MAX_HEAD_BYTES)
            .build(Connector::default());
        Self(client)
    }
}

impl HttpClient for AgentConnections {
    fn send(&self, request: Request<Bytes>) -> BoxFuture<Result<Response<Body>, NoAnswer>> {
        let answer = self.0.request(request.map(Body::from_bytes));
        Box::pin(async {
            let answer = answer.await.map_err(|error| NoAnswer {
                cause: with_sources(&error),
                may_have_arrived: !error.is_connect(),
            })?;
            Ok(http_common::into_response(answer))
        })
    }
}

/// Reads the body of an answer: until its end, `deadline`, a failure or [`MAX_ANSWER_BYTES`],
/// whatever comes first. The status has been received by then, and what it says stands whether or
/// not the body can be read to its end.
pub async fn read_body(answer: Response<Body>, deadline: Instant) -> Response<Bytes> {
    let (head, mut body) = answer.into_parts();
    let mut read = BytesMut::new();
    while let Ok(Some(Ok(frame))) = tokio::time::timeout_at(deadline, body.frame()).await {
        if let Some(data) = frame.data_ref() {
            let room = MAX_ANSWER_BYTES - read.len();
            read.extend_from_slice(&data[..data.len().min(room)]);
        }
        if read.len() == MAX_ANSWER_BYTES {
            break;
        }
    }
    Response::from_parts(head, read.freeze())
}

/// Returns the message of an error followed by those of its sources.
fn with_sources(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // Writing to memory does not fail.
        let _ = write!(message, ": {error}");
        source = error.source();
    }
    message
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use http_body_util::Limited;
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    /// What the scripted agent does with a request.
    pub enum Script {
        /// Answers with a status and a body.
        Answer(u16, &'static str),
        /// Answers with a status, headers and a body.
        AnswerWith(u16, &'static [(&'static str, &'static str)], &'static str),
        /// Answers with a status after a while.
        Slow(Duration, u16),
        /// Answers with 200 and a body after a while.
        SlowInfo(Duration, &'static str),
        /// As `Slow`, by way of another task, which must run before the answer can be read.
        Relayed(Duration, u16),
        /// The connection fails after a while.
        LateFailure(Duration),
        /// The head of an answer comes, the rest of its body never does.
        Stalled(u16, &'static str),
        /// The head of an answer comes, and a body that breaks off.
        CutShort(u16, &'static str),
        /// The connection fails.
        Fail(&'static str),
        /// No answer ever comes.
        Hang,
        /// The client panics.
        Panic(&'static str),
    }

    /// A client that answers by a script, and with 200 and `{}` once that is used up.
    #[derive(Default)]
    pub struct ScriptedClient {
        script: Mutex<VecDeque<Script>>,
        /// All requests with payloads, with the time when they were made.
        pub requests: Mutex<Vec<(Instant, Request<Bytes>)>>,
        /// Answers to `/info`; 404 once they are used up.
        pub info: Mutex<VecDeque<Script>>,
        pub info_requests: Mutex<Vec<(Instant, Request<Bytes>)>>,
        /// Answers to statistics; 200 once they are used up.
        pub stats: Mutex<VecDeque<Script>>,
        pub stats_requests: Mutex<Vec<(Instant, Request<Bytes>)>>,
    }

    impl ScriptedClient {
        pub fn new(script: impl IntoIterator<Item = Script>) -> Arc<Self> {
            Arc::new(Self {
                script: Mutex::new(script.into_iter().collect()),
                ..Self::default()
            })
        }

        pub fn count(&self) -> usize {
            self.requests.lock().unwrap().len()
        }

        pub fn times(&self) -> Vec<Instant> {
            let requests = self.requests.lock().unwrap();
            requests.iter().map(|(at, _)| *at).collect()
        }
    }

    impl HttpClient for ScriptedClient {
        fn send(&self, request: Request<Bytes>) -> BoxFuture<Result<Response<Body>, NoAnswer>> {
            let accepted = Script::Answer(200, "{}");
            let (script, requests, after) = match request.uri().path() {
                "/info" => (&self.info, &self.info_requests, Script::Answer(404, "")),
                "/v0.6/stats" => (&self.stats, &self.stats_requests, accepted),
                _ => (&self.script, &self.requests, accepted),
            };
            requests.lock().unwrap().push((Instant::now(), request));
            let step = script.lock().unwrap().pop_front().unwrap_or(after);
            Box::pin(play(step))
        }
    }

    async fn play(step: Script) -> Result<Response<Body>, NoAnswer> {
        let answer = |status, body| {
            let answer = Response::builder().status(status).body(body);
            Ok(answer.unwrap())
        };
        match step {
            Script::Answer(status, body) => answer(status, Body::from(body)),
            Script::AnswerWith(status, headers, body) => {
                let mut answer = answer(status, Body::from(body))?;
                for (name, value) in headers {
                    let value = value.parse().unwrap();
                    answer.headers_mut().insert(*name, value);
                }
                Ok(answer)
            }
            Script::Slow(time, status) => {
                tokio::time::sleep(time).await;
                answer(status, Body::from("{}"))
            }
            Script::SlowInfo(time, body) => {
                tokio::time::sleep(time).await;
                answer(200, Body::from(body))
            }
            Script::Relayed(time, status) => {
                let relay = tokio::spawn(async move {
                    tokio::time::sleep(time).await;
                    tokio::task::yield_now().await;
                });
                let _ = relay.await;
                answer(status, Body::from("{}"))
            }
            Script::LateFailure(time) => {
                tokio::time::sleep(time).await;
                Err(NoAnswer {
                    cause: "reset".into(),
                    may_have_arrived: true,
                })
            }
            Script::Stalled(status, part) => {
                let (sender, body) = Body::channel();
                tokio::spawn(async move {
                    let _ = sender.send_data(part.into()).await;
                    std::future::pending::<()>().await;
                });
                answer(status, body)
            }
            Script::CutShort(status, part) => {
                let (sender, body) = Body::channel();
                tokio::spawn(async move {
                    let _ = sender.send_data(part.into()).await;
                    let _ = sender.send_data("beyond the limit".into()).await;
                });
                let body = Limited::new(body, part.len()).map_err(std::io::Error::other);
                answer(status, Body::boxed(body))
            }
            Script::Fail(cause) => Err(NoAnswer::before_it_was_sent(cause.into())),
            Script::Hang => std::future::pending().await,
            Script::Panic(message) => panic!("{message}"),
        }
    }
}
