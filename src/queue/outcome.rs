//! What becomes of a payload.

use crate::report::stats::Loss;

/// What became of all spans of a payload, in one or several requests.
#[derive(Default)]
pub struct Outcome {
    pub accepted: Vec<Accepted>,
    pub failures: Vec<Failure>,
}

/// The agent accepted a payload, or a part of one.
pub struct Accepted {
    pub chunks: usize,
    pub spans: usize,
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
    /// Status and body of the agent's answer, if there was one.
    pub answer: Option<(u16, String)>,
}
