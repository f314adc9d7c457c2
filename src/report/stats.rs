//! Counters of an exporter.

use super::push_bounded;
use crate::span::Size;
use std::collections::VecDeque;
use std::time::Duration;

/// Why spans were lost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// The queue's bound in spans or bytes was reached.
    QueueFull,
    /// A single chunk, or a request by OTLP, is larger than the receiver accepts.
    TooLarge,
    /// The receiver answered that it does not take the payload, or these spans of it, or was still
    /// failing at the end of the retries.
    Refused,
    /// No answer came: the connection failed or timed out.
    Unreachable,
    /// The exporter had been shut down.
    Closed,
    /// There can be no thread, the application has closed the sender's descriptors, or the exporter
    /// has a defect.
    Internal,
    /// The trace can't be sent: one of its spans has no usable id, for instance.
    Invalid,
}

impl Loss {
    /// All reasons with their names, in the order of [`Stats::dropped`].
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::QueueFull, "queue_full"),
        (Self::TooLarge, "too_large"),
        (Self::Refused, "refused"),
        (Self::Unreachable, "unreachable"),
        (Self::Closed, "closed"),
        (Self::Internal, "internal"),
        (Self::Invalid, "invalid"),
    ];

    /// Returns the name by which the reason is reported.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// Counts of this process since the exporter was created.
///
/// At every moment `spans_exported` is the sum of `spans_sent`, `spans_sampled_out`, `dropped`,
/// `queued.spans` and `in_flight.spans`.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Chunks waiting in the queue now.
    pub queued: Size,
    /// Chunks taken from the queue and not answered for yet; `memory` includes the encoded payloads.
    pub in_flight: Size,
    /// Spans handed over, taken or not.
    pub spans_exported: u64,
    /// Spans in payloads that were accepted.
    pub spans_sent: u64,
    /// Spans left out on purpose: of unsampled traces, which nobody needs.
    pub spans_sampled_out: u64,
    /// Spans lost, by [`Loss`].
    pub dropped: [u64; Loss::ALL.len()],
    /// Requests that the agent accepted.
    pub payloads_sent: u64,
    /// Bytes of the bodies of these requests.
    pub bytes_sent: u64,
    /// Requests with statistics that the agent accepted.
    pub stats_payloads_sent: u64,
    /// Requests with statistics that are lost.
    pub stats_payloads_dropped: u64,
    /// Requests made again after a failed one.
    pub retries: u64,
    /// Median time from a request to its answer, over the latest requests.
    pub send_time_p50: Option<Duration>,
    /// Longest time from a request to its answer.
    pub send_time_max: Option<Duration>,
    /// Values in the spans handed over whose text was repaired or converted.
    pub values_repaired: u64,
    /// Values left out of the spans handed over because they cannot be sent.
    pub values_left_out: u64,
    /// Description of the latest failure.
    pub last_error: Option<String>,
}

impl Stats {
    /// Returns the number of spans that nothing has become of yet.
    pub fn unsettled(&self) -> u64 {
        self.spans_exported
            - self.spans_sent
            - self.spans_sampled_out
            - self.dropped.iter().sum::<u64>()
    }
}

/// What came of one request. An answer counts that came after its time and was still listened for.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestOutcome {
    /// Status of the answer, or `None` if there was none.
    pub status: Option<u16>,
    pub chunks: usize,
    pub spans: usize,
    /// Length of the request's body.
    pub bytes: usize,
    /// Time from the request to its answer, or to the failure.
    pub duration: Duration,
}

impl RequestOutcome {
    /// Outcomes kept until they are fetched. Beyond this the oldest are dropped; the counters still include them.
    pub(crate) const KEPT: usize = 256;
}

/// Times from a request to its answer.
#[derive(Default)]
pub(crate) struct SendTimes {
    latest: VecDeque<Duration>,
    /// The longest of all.
    pub longest: Option<Duration>,
}

impl SendTimes {
    /// Number of latest times that the median is taken of.
    const KEPT: usize = 128;

    pub fn add(&mut self, took: Duration) {
        push_bounded(&mut self.latest, took, Self::KEPT);
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
    use super::*;

    #[test]
    fn times_are_those_of_the_latest_requests() {
        let mut times = SendTimes::default();
        assert_eq!((times.median(), times.longest), (None, None));
        times.add(Duration::from_secs(9));
        for seconds in [1, 2, 3].repeat(SendTimes::KEPT) {
            times.add(Duration::from_secs(seconds));
        }
        assert_eq!(times.median(), Some(Duration::from_secs(2)));
        assert_eq!(times.longest, Some(Duration::from_secs(9)));
    }

    #[test]
    fn losses_are_listed_in_the_order_of_their_counters() {
        for (index, (loss, _)) in Loss::ALL.into_iter().enumerate() {
            assert_eq!(loss as usize, index);
        }
    }
}
