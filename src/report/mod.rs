//! What the exporter tells about itself: counters, sampling rates and lines for the log.

pub mod library_log;
pub(crate) mod loss_log;
pub mod rates;
pub mod stats;

use std::collections::VecDeque;

/// Lines kept for the log until the application fetches them. Beyond this the oldest are dropped.
const MAX_LINES: usize = 16;

/// Characters that are kept of a line.
const MAX_LINE_CHARS: usize = 2_000;

/// A bounded buffer of lines for the log, each of them one line of text that shows as it is.
#[derive(Default)]
pub(crate) struct Lines(VecDeque<String>);

impl Lines {
    pub fn push(&mut self, line: &str) {
        push_bounded(&mut self.0, printable(line, MAX_LINE_CHARS), MAX_LINES);
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

/// Adds the latest of something, of which at most `bound` are kept: beyond that the oldest is dropped.
pub(crate) fn push_bounded<T>(kept: &mut VecDeque<T>, latest: T, bound: usize) {
    if kept.len() == bound {
        kept.pop_front();
    }
    kept.push_back(latest);
}

/// Returns the beginning of a text, up to a number of characters, for a log: characters that control
/// a terminal, break a line or change how others are shown become spaces.
pub(crate) fn printable(text: &str, max_chars: usize) -> String {
    let beginning = text.chars().take(max_chars);
    beginning
        .map(|c| match c.is_control() || is_format(c) {
            true => ' ',
            false => c,
        })
        .collect()
}

/// Returns whether a character is one of Unicode's categories Cf (format), Zl or Zp (separators of
/// lines and paragraphs).
fn is_format(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}'
        | '\u{8e2}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}'
        | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0001}' | '\u{e0020}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_line_controls_how_a_log_is_shown() {
        for c in [
            '\n', '\r', '\u{1b}', '\u{9b}', '\u{2028}', '\u{202e}', '\u{feff}', '\u{200b}',
        ] {
            assert_eq!(printable(&format!("a{c}é"), 10), "a é", "{c:?}");
        }
        assert_eq!(printable("äöü", 2), "äö");
    }

    #[test]
    fn the_oldest_lines_are_dropped_beyond_the_bound() {
        let mut lines = Lines::default();
        (0..=MAX_LINES).for_each(|number| lines.push(&number.to_string()));
        let kept = lines.take();
        assert_eq!((kept.len(), kept[0].as_str()), (MAX_LINES, "1"));
        assert!(lines.is_empty());
    }
}
