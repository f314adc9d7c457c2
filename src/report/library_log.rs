//! Warnings and errors of the Rust libraries, kept until the application fetches them for its log.

use super::Lines;
use crate::process::ProcessLocal;
use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

static WAITING: ProcessLocal<Waiting> = ProcessLocal::new();

#[derive(Default)]
struct Waiting {
    any: AtomicBool,
    lines: Mutex<Lines>,
}

/// Starts to collect. Only libraries linked into this one are heard.
pub fn listen() {
    static LISTEN: Once = Once::new();
    LISTEN.call_once(|| {
        let _ = tracing::subscriber::set_global_default(LogBridge);
    });
}

/// Returns whether [`take_lines`] has something to return. Costs one load.
pub(crate) fn has_lines() -> bool {
    WAITING
        .get()
        .is_some_and(|waiting| waiting.any.load(Ordering::Relaxed))
}

/// Returns the lines that have not been fetched yet.
pub(crate) fn take_lines() -> VecDeque<String> {
    let Some(waiting) = WAITING.get() else {
        return VecDeque::new();
    };
    waiting.any.store(false, Ordering::Relaxed);
    let mut lines = waiting.lines.lock().unwrap_or_else(PoisonError::into_inner);
    lines.take()
}

/// Adds a line, unless the same one is waiting already.
pub(crate) fn push(line: &str) {
    let waiting = WAITING.get_or_init(Waiting::default);
    let mut lines = waiting.lines.lock().unwrap_or_else(PoisonError::into_inner);
    if !lines.contains(line) {
        lines.push(line);
        waiting.any.store(true, Ordering::Relaxed);
    }
}

/// A `tracing` subscriber for events alone.
struct LogBridge;

impl Subscriber for LogBridge {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(format!("{}:", event.metadata().target()));
        event.record(&mut line);
        push(&line.0);
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Some(tracing::level_filters::LevelFilter::WARN)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The message and the fields of an event.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to memory does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

/// Returns the lines that contain a text, which other tests of the process don't write.
#[cfg(test)]
pub(crate) fn take_lines_with(text: &str) -> Vec<String> {
    let waiting = WAITING.get().expect("something was written");
    let mut lines = waiting.lines.lock().unwrap();
    let (found, others) = lines
        .take()
        .into_iter()
        .partition(|line| line.contains(text));
    let others: Vec<String> = others;
    others.iter().for_each(|line| lines.push(line));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_wait_to_be_fetched_once() {
        listen();
        for _ in 0..3 {
            tracing::warn!(target: "library", size = 3, "too large");
            tracing::info!(target: "library", "all is well");
        }
        assert!(has_lines());
        assert_eq!(take_lines_with("library:"), ["library: too large size=3"]);
    }
}
