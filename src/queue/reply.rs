//! Results of synchronous sends.

use crate::report::stats::Loss;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Where the result of a synchronous send is put.
pub(crate) type ReplySlot = Arc<OnceLock<SendOutcome>>;

/// What became of a synchronous send.
#[derive(Clone, Debug, PartialEq)]
pub struct SendOutcome {
    /// The first loss, or else the last answer, if there was one.
    pub result: PartOutcome,
    /// Chunks that were accepted.
    pub accepted: usize,
    /// Chunks that were left out on purpose, since they are not sampled.
    pub sampled_out: usize,
}

/// What became of a synchronous send, or of a part of it.
#[derive(Clone, Debug, PartialEq)]
pub enum PartOutcome {
    /// It was accepted.
    Accepted {
        /// Body of the answer.
        body: String,
        chunks: usize,
    },
    /// So many chunks were left out on purpose.
    SampledOut(usize),
    /// It is lost.
    Lost {
        loss: Loss,
        detail: String,
        /// Status of the answer, if there was one.
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
    sampled_out: usize,
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
        match &part {
            PartOutcome::Accepted { chunks, .. } => parts.accepted += chunks,
            PartOutcome::SampledOut(chunks) => parts.sampled_out += chunks,
            PartOutcome::Lost { .. } => {}
        }
        // The first loss stands, and an answer says more than that none was needed.
        let stands = matches!(
            (&parts.result, &part),
            (Some(PartOutcome::Lost { .. }), _)
                | (
                    Some(PartOutcome::Accepted { .. }),
                    PartOutcome::SampledOut(_)
                )
        );
        if !stands {
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
            sampled_out: parts.sampled_out,
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
        let outcome = SendOutcome {
            result: accepted("2", 3),
            accepted: 5,
            sampled_out: 0,
        };
        assert_eq!(slot.get(), Some(&outcome));
    }

    #[test]
    fn an_answer_is_the_result_rather_than_that_chunks_were_sampled_out() {
        let slot = ReplySlot::default();
        let responder = Responder::new(Arc::clone(&slot));
        responder.add(PartOutcome::SampledOut(2));
        responder.add(accepted("1", 3));
        responder.add(PartOutcome::SampledOut(4));
        drop(responder);
        let outcome = slot.get().unwrap();
        assert_eq!(outcome.result, accepted("1", 3));
        assert_eq!((outcome.accepted, outcome.sampled_out), (3, 6));
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
