//! Telling of losses once when they begin and once, with their count, when they are over.

use crate::stats::Loss;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Losses that follow each other within this time are one trouble, even if something was sent in
/// between: a queue that overflows every other second is not news every other second.
const CALM: Duration = Duration::from_secs(1);
/// Lines that wait to be fetched. Beyond that the oldest are given up.
const MOST_LINES: usize = 16;

#[derive(Default)]
pub struct Trouble {
    current: Option<Current>,
    lines: VecDeque<String>,
}

struct Current {
    spans: u64,
    latest: Instant,
}

impl Trouble {
    pub fn lost(&mut self, spans: u64, loss: Loss, detail: &str) {
        let latest = Instant::now();
        if let Some(current) = &mut self.current {
            current.spans += spans;
            current.latest = latest;
            return;
        }
        self.current = Some(Current { spans, latest });
        let reason = loss.name();
        self.say(format!(
            "Spans are being lost ({reason}): {detail}. More losses are counted, and told when they end."
        ));
    }

    pub fn sent(&mut self) {
        let over = |current: &mut Current| current.latest.elapsed() >= CALM;
        if let Some(current) = self.current.take_if(over) {
            let spans = current.spans;
            self.say(format!("Spans reach the agent again; {spans} were lost."));
        }
    }

    pub fn has_lines(&self) -> bool {
        !self.lines.is_empty()
    }

    pub fn take_lines(&mut self) -> VecDeque<String> {
        std::mem::take(&mut self.lines)
    }

    fn say(&mut self, line: String) {
        if self.lines.len() == MOST_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }
}
