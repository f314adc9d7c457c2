//! What an exporter has done so far.

use crate::size::Size;
use std::collections::VecDeque;
use std::time::Duration;

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
    /// The trace can't be sent: one of its spans has no usable id, for instance.
    Invalid,
}

impl Loss {
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::QueueFull, "queue_full"),
        (Self::TooLarge, "too_large"),
        (Self::Refused, "refused"),
        (Self::Unreachable, "unreachable"),
        (Self::Closed, "closed"),
        (Self::Internal, "internal"),
        (Self::Invalid, "invalid"),
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
    /// Median time between a request and its answer, of the latest requests.
    pub send_time_p50: Option<Duration>,
    /// Longest of these times since the exporter was made.
    pub send_time_max: Option<Duration>,
    /// Values in the spans handed over whose text had broken bytes, which were replaced.
    pub values_repaired: u64,
    /// Values that cannot be sent and were left out of the spans handed over.
    pub values_left_out: u64,
    /// What went wrong last.
    pub last_error: Option<String>,
}

impl Stats {
    /// Spans that are neither sent nor lost yet.
    pub fn unsettled(&self) -> u64 {
        self.spans_exported - self.spans_sent - self.dropped.iter().sum::<u64>()
    }
}

/// The times of the latest requests.
#[derive(Default)]
pub struct Times {
    latest: VecDeque<Duration>,
    pub longest: Option<Duration>,
}

impl Times {
    const KEPT: usize = 128;

    pub fn add(&mut self, took: Duration) {
        if self.latest.len() == Self::KEPT {
            self.latest.pop_front();
        }
        self.latest.push_back(took);
        self.longest = self.longest.max(Some(took));
    }

    pub fn median(&self) -> Option<Duration> {
        let mut sorted: Vec<Duration> = self.latest.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len().saturating_sub(1) / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_are_those_of_the_latest_requests() {
        let mut times = Times::default();
        assert_eq!((times.median(), times.longest), (None, None));
        times.add(Duration::from_secs(9));
        for seconds in [1, 2, 3].repeat(Times::KEPT) {
            times.add(Duration::from_secs(seconds));
        }
        assert_eq!(times.median(), Some(Duration::from_secs(2)));
        assert_eq!(times.longest, Some(Duration::from_secs(9)));
    }

    use super::*;

    #[test]
    fn losses_are_listed_in_the_order_of_their_counters() {
        for (index, (loss, _)) in Loss::ALL.into_iter().enumerate() {
            assert_eq!(loss as usize, index);
        }
    }
}
