//! Text that repeats for as long as the process lives: keys of tags, and values that are literals.

use crate::process::ProcessLocal;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Texts that a process keeps for ever, at most.
const MOST_TEXTS: usize = 4_096;
/// Bytes that they take, at most.
const MOST_BYTES: usize = 256 * 1024;
/// Longer texts are no keys or literals.
const LONGEST: usize = 256;

static TEXTS: ProcessLocal<Mutex<StaticTexts>> = ProcessLocal::new();

#[derive(Default)]
struct StaticTexts {
    texts: HashSet<&'static str>,
    bytes: usize,
}

/// Returns a text that is never freed, so that nothing has to count who uses it; nothing when there is no room for more
/// of them.
pub fn make_static(text: &str) -> Option<&'static str> {
    let texts = TEXTS.get_or_init(Mutex::default).lock();
    let mut texts = texts.unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = texts.texts.get(text) {
        return Some(found);
    }
    let is_full = texts.texts.len() == MOST_TEXTS || texts.bytes + text.len() > MOST_BYTES;
    if is_full || text.len() > LONGEST {
        return None;
    }
    let kept: &'static str = String::from(text).leak();
    texts.bytes += kept.len();
    texts.texts.insert(kept);
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_once_and_there_is_an_end_to_them() {
        let first = make_static("http.method").unwrap();
        assert_eq!(make_static("http.method").unwrap().as_ptr(), first.as_ptr());
        assert_eq!(make_static(&"x".repeat(LONGEST + 1)), None);
        let kept = (0..2 * MOST_TEXTS).filter(|i| make_static(&i.to_string()).is_some());
        assert!(kept.count() < MOST_TEXTS);
        assert_eq!(make_static("http.method"), Some(first));
        assert_eq!(make_static("too late"), None);
    }
}
