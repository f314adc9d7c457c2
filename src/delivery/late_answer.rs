//! Answers that come after the attempt has been given up.

use super::http_client::{Body, BoxFuture, NoAnswer};
use super::made_request::MadeRequest;
use http::Response;
use std::future::pending;

/// A request that timed out, whose answer may still come; at first, none.
#[derive(Default)]
pub struct LateAnswer<'a>(Option<Pending<'a>>);

struct Pending<'a> {
    head: BoxFuture<Result<Response<Body>, NoAnswer>>,
    made: MadeRequest<'a>,
}

impl<'a> LateAnswer<'a> {
    pub fn new(head: BoxFuture<Result<Response<Body>, NoAnswer>>, made: MadeRequest<'a>) -> Self {
        Self(Some(Pending { head, made }))
    }

    /// Resolves to the head of the answer with the request, and never if there is none.
    pub async fn head(&mut self) -> (Response<Body>, MadeRequest<'a>) {
        if let Some(pending) = &mut self.0 {
            let head = (&mut pending.head).await;
            if let (Ok(head), Some(Pending { made, .. })) = (head, self.0.take()) {
                return (head, made);
            }
        }
        pending().await
    }

    /// Resolves to the head of the answer if it says that the payload was accepted. Any other is
    /// left to the attempt that is under way.
    pub async fn accepting_head(&mut self) -> (Response<Body>, MadeRequest<'a>) {
        let (head, made) = self.head().await;
        if head.status().is_success() {
            return (head, made);
        }
        made.answered(head.status());
        pending().await
    }
}
