//! What an exporter has done so far.

use crate::size::Size;

/// Why spans were lost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// The queue's bound in spans or bytes was reached.
    QueueFull,
    /// A single chunk is larger than the agent accepts.
    TooLarge,
    /// The agent answered that it does not take the payload, or was still failing at the end of
    /// the retries.
    Refused,
    /// No answer came: the connection failed or timed out.
    Unreachable,
    /// The exporter had been shut down.
    Closed,
    /// A defect of the exporter itself.
    Internal,
}

impl Loss {
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::QueueFull, "queue_full"),
        (Self::TooLarge, "too_large"),
        (Self::Refused, "refused"),
        (Self::Unreachable, "unreachable"),
        (Self::Closed, "closed"),
        (Self::Internal, "internal"),
    ];

    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// Counts since the exporter was made, in this process.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Waiting now.
    pub queued: Size,
    /// Spans handed over, taken or not.
    pub spans_exported: u64,
    /// Spans in payloads that the agent has accepted.
    pub spans_sent: u64,
    /// Spans lost, by [`Loss`].
    pub dropped: [u64; Loss::ALL.len()],
    pub payloads_sent: u64,
    /// Bytes of the bodies of those payloads.
    pub bytes_sent: u64,
    /// Requests made again after one that failed.
    pub retries: u64,
    /// Values in the spans handed over whose text had broken bytes, which were replaced.
    pub values_repaired: u64,
    /// Values that cannot be sent and were left out of the spans handed over.
    pub values_left_out: u64,
    /// What went wrong last.
    pub last_error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_listed_in_the_order_of_their_counters() {
        for (index, (loss, _)) in Loss::ALL.into_iter().enumerate() {
            assert_eq!(loss as usize, index);
        }
    }
}
