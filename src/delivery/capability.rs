//! The HTTP capability that the trace exporter is built with.

use super::attempts::Delivery;
use super::known_info;
use super::statistics::{STATS_PATH, StatisticsRequests};
use bytes::Bytes;
use http::{Method, Request, Response};
use libdd_capabilities::http::{BodySender, HttpClientCapability, HttpError, ResponseFuture};
use libdd_capabilities::{LogWriterCapability, MaybeSend, SleepCapability};
use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

tokio::task_local! {
    /// The delivery that the current task drives.
    pub static DELIVERY: Arc<Delivery>;
    /// Where clients that the current task makes send statistics.
    pub static STATISTICS: Arc<StatisticsRequests>;
}

/// Tells the requests of a trace exporter apart:
///
/// - The payload, made within [`Delivery::send`], goes to [`Delivery::run`].
/// - A question for `/info` is answered by [`known_info`], without asking the agent, which
///   [`AgentInfo`](super::agent_info::AgentInfo) does.
/// - Statistics go to the [`StatisticsRequests`] that the client was made within.
///
/// It makes no others as it is set up here. They would fail, which it logs.
#[derive(Clone)]
pub struct AgentClient {
    statistics: Option<Arc<StatisticsRequests>>,
}

impl HttpClientCapability for AgentClient {
    fn new_client() -> Self {
        let statistics = STATISTICS.try_with(Arc::clone).ok();
        Self { statistics }
    }

    fn new_periodic() -> Self {
        Self::new_client()
    }

    async fn request(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let delivery = DELIVERY.try_with(Arc::clone).ok();
        if let Some(delivery) = delivery.filter(|delivery| delivery.is_payload(&request)) {
            return Ok(delivery.run(request).await);
        }
        let path = request.uri().path();
        if request.method() == Method::GET && path.ends_with("/info") {
            return Ok(Response::new(known_info::answer()));
        }
        match &self.statistics {
            Some(statistics) if path.ends_with(STATS_PATH) => {
                statistics.take(request);
                Ok(Response::new(Bytes::new()))
            }
            _ => Err(HttpError::InvalidRequest(
                io::Error::from(io::ErrorKind::Unsupported).into(),
            )),
        }
    }

    fn request_streamed(&self, _: Request<()>) -> (BodySender, ResponseFuture) {
        unimplemented!("the trace exporter sends its payloads whole")
    }
}

impl fmt::Debug for AgentClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AgentClient")
    }
}

impl SleepCapability for AgentClient {
    fn new() -> Self {
        Self::new_client()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + MaybeSend {
        tokio::time::sleep(duration)
    }
}

impl LogWriterCapability for AgentClient {
    fn write_log_output(&self, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
