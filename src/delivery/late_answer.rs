//! Answers that come after the attempt has been given up.

use super::http_client::{Body, BoxFuture, NoAnswer};
use http::Response;
use std::future::pending;
use tokio::time::Instant;

/// A request that timed out, whose answer may still come.
pub struct LateAnswer {
    pub request: Option<BoxFuture<Result<Response<Body>, NoAnswer>>>,
    pub began: Instant,
}

impl Default for LateAnswer {
    fn default() -> Self {
        Self {
            request: None,
            began: Instant::now(),
        }
    }
}

impl LateAnswer {
    /// Resolves to the head of the answer, and never if there is none.
    pub async fn head(&mut self) -> Response<Body> {
        if let Some(request) = &mut self.request {
            let head = request.await;
            self.request = None;
            if let Ok(head) = head {
                return head;
            }
        }
        pending().await
    }

    /// Resolves to the head of the answer if it says that the payload was accepted. Any other is
    /// left to the attempt that is under way.
    pub async fn accepting_head(&mut self) -> Response<Body> {
        let head = self.head().await;
        match head.status().is_success() {
            true => head,
            false => pending().await,
        }
    }
}
