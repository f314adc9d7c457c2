//! What becomes of a payload.

use crate::report::stats::Loss;
use crate::span::Size;
use std::ops::{AddAssign, Sub};

/// Chunks and their spans.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Count {
    pub chunks: usize,
    pub spans: usize,
}

impl From<Size> for Count {
    fn from(Size { chunks, spans, .. }: Size) -> Self {
        Self { chunks, spans }
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.chunks += other.chunks;
        self.spans += other.spans;
    }
}

impl Sub for Count {
    type Output = Self;

    /// Returns the difference; what can't be less than nothing is nothing.
    fn sub(self, other: Self) -> Self {
        Self {
            chunks: self.chunks.saturating_sub(other.chunks),
            spans: self.spans.saturating_sub(other.spans),
        }
    }
}

/// What became of all spans of a payload, in one or several requests.
#[derive(Default)]
pub struct Outcome {
    pub accepted: Vec<Accepted>,
    pub failures: Vec<Failure>,
    /// What was left out on purpose, since it is not sampled.
    pub sampled_out: Count,
}

/// The receiver accepted a payload, or a part of one.
pub struct Accepted {
    pub count: Count,
    /// Length of the request's body.
    pub bytes: usize,
    /// Body of the answer.
    pub body: String,
    /// `Datadog-Agent-State` of the answer.
    pub agent_state: Option<String>,
}

/// A payload, or a part of one, is lost.
#[derive(Clone)]
pub struct Failure {
    pub spans: usize,
    pub loss: Loss,
    pub detail: String,
    /// Status and body of the answer, if there was one.
    pub answer: Option<(u16, String)>,
}
