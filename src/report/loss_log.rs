//! Rate-limited log of failures: one line when attempts begin to fail, one when losses begin, and one
//! with their total when it is over.

use super::Lines;
use super::stats::Loss;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Failures that follow each other within this time belong together even if something was sent in
/// between: a queue that overflows every other second is not news every other second.
const QUIET_PERIOD: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct LossLog {
    current: Option<Trouble>,
    /// Tells of failed attempts. Dropped if it has not been fetched when losses begin, whose line
    /// says as much.
    outage: Option<String>,
    /// Whether it was told that values are left out.
    left_out: bool,
    /// Requests with statistics lost since one was accepted.
    statistics: u64,
    lines: Lines,
}

/// Failures that have been told and are not over.
struct Trouble {
    /// Spans lost.
    spans: u64,
    latest: Instant,
    /// The latest failure.
    detail: String,
}

impl LossLog {
    /// Notes an attempt that failed and will be made again.
    pub fn attempt_failed(&mut self, detail: &str) {
        if self.note(0, detail).is_none() {
            self.outage = Some(format!(
                "Spans cannot be sent for now: {detail}. They are kept and sent again as long as there is time and room."
            ));
        }
    }

    /// Notes that values were left out of spans. Told once, with an example: what can't be sent once can't be sent
    /// later, and the counters tell how many there are.
    pub fn left_out(&mut self, example: &str) {
        if !std::mem::replace(&mut self.left_out, true) {
            self.lines.push(&format!(
                "Values that can't be sent are left out of spans: {example}. Further ones are counted as values_left_out."
            ));
        }
    }

    /// Notes lost spans.
    pub fn lost(&mut self, spans: u64, loss: Loss, detail: &str) {
        let lost_before = self.note(spans, detail).unwrap_or_default();
        if lost_before == 0 {
            self.outage = None;
            let reason = loss.name();
            self.lines.push(&format!(
                "Spans are being lost ({reason}): {detail}. Further losses are counted and reported when they stop."
            ));
        }
    }

    /// Notes that spans reached the agent.
    pub fn sent(&mut self) {
        let is_over = |current: &mut Trouble| current.latest.elapsed() >= QUIET_PERIOD;
        if let Some(Trouble { spans, .. }) = self.current.take_if(is_over) {
            self.push_outage();
            let lost = match spans {
                0 => "none were lost".into(),
                spans => format!("{spans} were lost"),
            };
            let line = format!("Spans reach the agent again; {lost}.");
            self.lines.push(&line);
        }
    }

    /// Notes statistics that are lost.
    pub fn statistics_lost(&mut self, detail: &str) {
        self.statistics += 1;
        if self.statistics == 1 {
            self.lines.push(&format!(
                "Statistics of spans are being lost: {detail}. Further losses are counted as stats_payloads_dropped."
            ));
        }
    }

    /// Notes that statistics reached the agent.
    pub fn statistics_sent(&mut self) {
        let lost = std::mem::take(&mut self.statistics);
        if lost > 0 {
            self.lines.push(&format!(
                "Statistics of spans reach the agent again; {lost} requests with them were lost."
            ));
        }
    }

    /// Returns the latest failure, unless spans have reached the agent for a while since.
    pub fn current(&self) -> Option<&str> {
        self.current.as_ref().map(|current| current.detail.as_str())
    }

    pub fn has_lines(&self) -> bool {
        self.outage.is_some() || !self.lines.is_empty()
    }

    pub fn take_lines(&mut self) -> VecDeque<String> {
        self.push_outage();
        self.lines.take()
    }

    /// Adds to the current trouble. Returns how many spans were lost in it before, or `None` if it
    /// begins.
    fn note(&mut self, spans: u64, detail: &str) -> Option<u64> {
        let before = self.current.as_ref().map(|current| current.spans);
        self.current = Some(Trouble {
            spans: before.unwrap_or_default() + spans,
            latest: Instant::now(),
            detail: detail.to_owned(),
        });
        before
    }

    fn push_outage(&mut self) {
        if let Some(outage) = self.outage.take() {
            self.lines.push(&outage);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_left_out_are_told_once() {
        let mut log = LossLog::default();
        log.left_out("meta[\"a\"]: expected String or Symbol, got Object");
        log.left_out("another");
        let lines = log.take_lines();
        assert_eq!(lines.len(), 1);
        assert!(lines[0].contains("meta[\"a\"]: expected"), "{lines:?}");
    }

    #[test]
    fn losses_of_statistics_are_told_when_they_begin_and_when_they_are_over() {
        let mut log = LossLog::default();
        log.statistics_sent();
        log.statistics_lost("no");
        log.statistics_lost("no");
        log.statistics_sent();
        log.statistics_sent();
        let lines = log.take_lines();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("Statistics of spans are being lost: no."));
        assert!(lines[1].contains("2 requests"), "{lines:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn losses_are_told_when_they_begin_and_when_they_are_over() {
        let mut log = LossLog::default();
        log.lost(3, Loss::QueueFull, "the queue is full");
        log.lost(4, Loss::Refused, "no");
        let lines = log.take_lines();
        assert_eq!(lines.len(), 1);
        assert!(
            lines[0].starts_with("Spans are being lost (queue_full): the queue is full."),
            "{lines:?}"
        );
        log.sent();
        assert!(!log.has_lines(), "the losses are too recent to be over");
        tokio::time::advance(QUIET_PERIOD).await;
        log.sent();
        log.sent();
        assert_eq!(
            log.take_lines(),
            ["Spans reach the agent again; 7 were lost."]
        );
    }

    const DOWN: &str = "the agent cannot be reached";

    #[tokio::test(start_paused = true)]
    async fn failed_attempts_are_told_once_and_when_they_are_over() {
        let mut log = LossLog::default();
        log.attempt_failed(DOWN);
        assert!(log.has_lines());
        log.attempt_failed(DOWN);
        let lines = log.take_lines();
        assert_eq!(lines.len(), 1);
        assert!(lines[0].contains(DOWN), "{lines:?}");
        assert_eq!(log.current(), Some(DOWN));
        tokio::time::advance(QUIET_PERIOD).await;
        log.sent();
        assert_eq!(log.current(), None);
        assert_eq!(
            log.take_lines(),
            ["Spans reach the agent again; none were lost."]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn failed_attempts_that_nobody_was_told_of_are_not_told_beside_their_losses() {
        let mut log = LossLog::default();
        log.attempt_failed(DOWN);
        log.lost(1, Loss::Unreachable, DOWN);
        let lines = log.take_lines();
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with("Spans are being lost (unreachable)"));
    }

    #[tokio::test(start_paused = true)]
    async fn losses_are_told_after_failed_attempts_were() {
        let mut log = LossLog::default();
        log.attempt_failed(DOWN);
        log.take_lines();
        log.lost(1, Loss::Unreachable, DOWN);
        log.lost(1, Loss::Unreachable, DOWN);
        assert_eq!(log.take_lines().len(), 1);
    }
}
