//! What the exporter tells about itself: counters, sampling rates and lines for the log.

pub mod library_log;
pub(crate) mod loss_log;
pub mod rates;
pub mod stats;

use std::collections::VecDeque;

/// Lines kept for the log until the application fetches them. Beyond this the oldest are dropped.
const MAX_LINES: usize = 16;

/// A bounded buffer of lines for the log.
#[derive(Default)]
pub(crate) struct Lines(VecDeque<String>);

impl Lines {
    pub fn push(&mut self, line: String) {
        if self.0.len() == MAX_LINES {
            self.0.pop_front();
        }
        self.0.push_back(line);
    }

    pub fn contains(&self, line: &str) -> bool {
        self.0.iter().any(|kept| kept == line)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn take(&mut self) -> VecDeque<String> {
        std::mem::take(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_lines_are_dropped_beyond_the_bound() {
        let mut lines = Lines::default();
        (0..=MAX_LINES).for_each(|number| lines.push(number.to_string()));
        let kept = lines.take();
        assert_eq!((kept.len(), kept[0].as_str()), (MAX_LINES, "1"));
        assert!(lines.is_empty());
    }
}
