//! Results of synchronous sends.

use crate::report::stats::Loss;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Where the result of a synchronous send is put.
pub(crate) type ReplySlot = Arc<OnceLock<SendOutcome>>;

/// What became of a synchronous send.
#[derive(Clone, Debug, PartialEq)]
pub struct SendOutcome {
    /// The first loss, or else the agent's last answer.
    pub result: PartOutcome,
    /// Chunks that the agent accepted.
    pub accepted: usize,
}

/// What became of a synchronous send, or of a part of it.
#[derive(Clone, Debug, PartialEq)]
pub enum PartOutcome {
    /// The agent accepted it.
    Accepted {
        /// Body of the answer.
        body: String,
        chunks: usize,
    },
    /// It is lost.
    Lost {
        loss: Loss,
        detail: String,
        /// Status of the agent's answer, if there was one.
        status: Option<u16>,
        /// Body of the answer, empty if there was none.
        body: String,
    },
}

impl PartOutcome {
    /// Something was lost before the agent was asked.
    pub fn unsent(loss: Loss, detail: String) -> Self {
        Self::Lost {
            loss,
            detail,
            status: None,
            body: String::new(),
        }
    }
}

/// Collects what becomes of the parts of a synchronous send. All chunks of the send share it; the
/// result is handed in when the last of them drops it.
pub struct Responder {
    slot: ReplySlot,
    parts: Mutex<Parts>,
}

#[derive(Default)]
struct Parts {
    result: Option<PartOutcome>,
    accepted: usize,
}

impl Responder {
    pub fn new(slot: ReplySlot) -> Arc<Self> {
        Arc::new(Self {
            slot,
            parts: Mutex::default(),
        })
    }

    pub fn add(&self, part: PartOutcome) {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if let PartOutcome::Accepted { chunks, .. } = &part {
            parts.accepted += chunks;
        }
        if !matches!(parts.result, Some(PartOutcome::Lost { .. })) {
            parts.result = Some(part);
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        let parts = self.parts.get_mut().unwrap_or_else(PoisonError::into_inner);
        let unsent = || {
            let detail = "the sender could not be started";
            PartOutcome::unsent(Loss::Internal, detail.into())
        };
        let _ = self.slot.set(SendOutcome {
            result: parts.result.take().unwrap_or_else(unsent),
            accepted: parts.accepted,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(body: &str, chunks: usize) -> PartOutcome {
        let body = body.into();
        PartOutcome::Accepted { body, chunks }
    }

    #[test]
    fn the_result_is_handed_in_with_the_last_part() {
        let slot = ReplySlot::default();
        let first = Responder::new(Arc::clone(&slot));
        let second = Arc::clone(&first);
        first.add(accepted("1", 2));
        drop(first);
        assert_eq!(slot.get(), None);
        second.add(accepted("2", 3));
        drop(second);
        let (result, accepted) = (accepted("2", 3), 5);
        assert_eq!(slot.get(), Some(&SendOutcome { result, accepted }));
    }

    #[test]
    fn the_first_loss_is_the_result_whatever_else_was_accepted() {
        let slot = ReplySlot::default();
        let responder = Responder::new(Arc::clone(&slot));
        let lost = PartOutcome::unsent(Loss::QueueFull, "full".into());
        responder.add(accepted("1", 1));
        responder.add(lost.clone());
        responder.add(accepted("3", 1));
        responder.add(PartOutcome::unsent(Loss::Refused, "no".into()));
        drop(responder);
        let outcome = slot.get().unwrap();
        assert_eq!((&outcome.result, outcome.accepted), (&lost, 2));
    }
}
