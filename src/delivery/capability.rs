//! The HTTP capability that the trace exporter is built with.

use super::attempts::Delivery;
use super::known_info;
use super::side_requests::SideRequests;
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
    /// Where clients that the current task makes send what is no payload.
    pub static SIDE_REQUESTS: Arc<SideRequests>;
}

/// Tells the requests of a trace exporter apart:
///
/// - The payload, made within [`Delivery::send`], goes to [`Delivery::run`].
/// - A question for `/info` is answered by [`known_info`], without asking the agent, which
///   [`AgentInfo`](super::agent_info::AgentInfo) does.
/// - Anything else, as statistics, goes to the [`SideRequests`] that the client was made within.
#[derive(Clone)]
pub struct AgentClient {
    side_requests: Option<Arc<SideRequests>>,
}

impl HttpClientCapability for AgentClient {
    fn new_client() -> Self {
        let side_requests = SIDE_REQUESTS.try_with(Arc::clone).ok();
        Self { side_requests }
    }

    fn new_periodic() -> Self {
        Self::new_client()
    }

    async fn request(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let delivery = DELIVERY.try_with(Arc::clone).ok();
        if let Some(delivery) = delivery.filter(|delivery| delivery.is_payload(&request)) {
            return Ok(delivery.run(request).await);
        }
        if request.method() == Method::GET && request.uri().path().ends_with("/info") {
            return Ok(Response::new(known_info::answer()));
        }
        match &self.side_requests {
            Some(side_requests) => side_requests.take(request).await,
            None => Err(unsupported()),
        }
    }

    fn request_streamed(&self, _: Request<()>) -> (BodySender, ResponseFuture) {
        unimplemented!("the trace exporter sends its payloads whole")
    }
}

fn unsupported() -> HttpError {
    HttpError::InvalidRequest(io::Error::from(io::ErrorKind::Unsupported).into())
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
