//! Rate-limited loss logging: one line when losses begin, one with their total when they stop.

use super::Lines;
use super::stats::Loss;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Losses that follow each other within this time belong together even if something was sent in
/// between: a queue that overflows every other second is not news every other second.
const QUIET_PERIOD: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct LossLog {
    current: Option<Losses>,
    lines: Lines,
}

/// Losses that have been announced and are not over.
struct Losses {
    spans: u64,
    latest: Instant,
}

impl LossLog {
    pub fn lost(&mut self, spans: u64, loss: Loss, detail: &str) {
        let latest = Instant::now();
        if let Some(current) = &mut self.current {
            current.spans += spans;
            current.latest = latest;
            return;
        }
        self.current = Some(Losses { spans, latest });
        let reason = loss.name();
        self.lines.push(&format!(
            "Spans are being lost ({reason}): {detail}. Further losses are counted and reported when they stop."
        ));
    }

    pub fn sent(&mut self) {
        let is_over = |current: &mut Losses| current.latest.elapsed() >= QUIET_PERIOD;
        if let Some(current) = self.current.take_if(is_over) {
            let spans = current.spans;
            let line = format!("Spans reach the agent again; {spans} were lost.");
            self.lines.push(&line);
        }
    }

    pub fn has_lines(&self) -> bool {
        !self.lines.is_empty()
    }

    pub fn take_lines(&mut self) -> VecDeque<String> {
        self.lines.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
