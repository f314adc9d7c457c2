//! The HTTP capability that the trace exporter is built with.

use super::attempts::Delivery;
use bytes::Bytes;
use http::{Method, Request, Response};
use libdd_capabilities::http::{BodySender, HttpClientCapability, HttpError, ResponseFuture};
use libdd_capabilities::{LogWriterCapability, MaybeSend, SleepCapability};
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

tokio::task_local! {
    /// The delivery that the current task drives.
    pub static DELIVERY: Arc<Delivery>;
}

/// Hands requests made within [`Delivery::send`] to [`Delivery::run`].
///
/// The only other request of the trace exporter as it is configured here is one for `/info`, of
/// which it uses nothing but what client-side statistics and the v1 format need. It is answered
/// here, without asking the agent, which [`AgentInfo`](super::agent_info::AgentInfo) does.
#[derive(Clone, Debug)]
pub struct AgentClient;

impl HttpClientCapability for AgentClient {
    fn new_client() -> Self {
        Self
    }

    fn new_periodic() -> Self {
        Self
    }

    async fn request(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        match DELIVERY.try_with(Arc::clone) {
            Ok(delivery) => Ok(delivery.run(request).await),
            Err(_)
                if request.method() == Method::GET && request.uri().path().ends_with("/info") =>
            {
                Ok(Response::new(Bytes::from_static(b"{}")))
            }
            Err(_) => Err(unsupported()),
        }
    }

    fn request_streamed(&self, _: Request<()>) -> (BodySender, ResponseFuture) {
        unimplemented!("the trace exporter sends v0.4 payloads whole")
    }
}

fn unsupported() -> HttpError {
    HttpError::InvalidRequest(io::Error::from(io::ErrorKind::Unsupported).into())
}

impl SleepCapability for AgentClient {
    fn new() -> Self {
        Self
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
