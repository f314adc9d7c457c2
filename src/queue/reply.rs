//! Answers to synchronous sends.

use crate::stats::Loss;
use std::sync::{Arc, OnceLock};

/// Where the answer to a synchronous send is put.
pub type ReplySlot = Arc<OnceLock<Answer>>;

/// The answer to a synchronous send while it is being found out. Dropping it hands it in.
pub struct ReplyTo {
    slot: ReplySlot,
    reply: Option<Reply>,
    accepted: usize,
}

impl ReplyTo {
    pub fn new(slot: ReplySlot) -> Self {
        Self {
            slot,
            reply: None,
            accepted: 0,
        }
    }

    /// The first loss is the answer, or else the agent's last one.
    pub fn add(&mut self, reply: Reply) {
        if let Reply::Accepted { chunks, .. } = &reply {
            self.accepted += chunks;
        }
        if !matches!(self.reply, Some(Reply::Lost { .. })) {
            self.reply = Some(reply);
        }
    }
}

impl Drop for ReplyTo {
    fn drop(&mut self) {
        let unsent = || Reply::unsent(Loss::Internal, "the sender could not be started".into());
        let _ = self.slot.set(Answer {
            reply: self.reply.take().unwrap_or_else(unsent),
            accepted: self.accepted,
        });
    }
}

/// What became of a synchronous send.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub reply: Reply,
    /// Chunks that the agent has accepted.
    pub accepted: usize,
}

/// What became of all, or a part, of a synchronous send.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// All was accepted; the agent's last answer.
    Accepted { body: String, chunks: usize },
    /// Something was lost, why, and the agent's answer if there was one.
    Lost {
        loss: Loss,
        detail: String,
        status: Option<u16>,
        body: String,
    },
}

impl Reply {
    /// Lost before the agent was asked.
    pub fn unsent(loss: Loss, detail: String) -> Self {
        Self::Lost {
            loss,
            detail,
            status: None,
            body: String::new(),
        }
    }
}
