//! Account of a request: it has one outcome, whatever becomes of it.

use super::payload::Part;
use crate::queue::Tracker;
use crate::report::stats::RequestOutcome;
use http::StatusCode;
use tokio::time::Instant;

/// A request that was made and has no outcome yet. Dropped, it got no answer.
pub struct MadeRequest<'a> {
    tracker: &'a Tracker,
    part: &'a Part,
    pub began: Instant,
    status: Option<StatusCode>,
}

impl<'a> MadeRequest<'a> {
    pub fn new(tracker: &'a Tracker, part: &'a Part) -> Self {
        Self {
            tracker,
            part,
            began: Instant::now(),
            status: None,
        }
    }

    /// Notes the answer, now that it has been read.
    pub fn answered(mut self, status: StatusCode) {
        self.status = Some(status);
    }
}

impl Drop for MadeRequest<'_> {
    fn drop(&mut self) {
        self.tracker.requested(RequestOutcome {
            status: self.status.map(|status| status.as_u16()),
            chunks: self.part.count.chunks,
            spans: self.part.count.spans,
            bytes: self.part.request.body().len(),
            duration: self.began.elapsed(),
        });
    }
}
