//! What the Rust libraries have to say, from warnings up, kept until a Ruby thread fetches it for
//! the log.

use crate::process_local::ProcessLocal;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Lines that wait to be fetched. Beyond that the oldest are given up.
const MOST_LINES: usize = 16;
/// Says that the agent's `/info` can't be read, whenever the agent is down; that is told as losses.
const SILENT: &str = "libdd_data_pipeline::agent_info";

static LINES: ProcessLocal<Lines> = ProcessLocal::new();

#[derive(Default)]
struct Lines {
    waiting: AtomicBool,
    lines: Mutex<VecDeque<String>>,
}

/// Starts to listen. The libraries in this one are the only ones that it hears.
pub fn listen() {
    static LISTEN: Once = Once::new();
    LISTEN.call_once(|| {
        let _ = tracing::subscriber::set_global_default(Listener);
    });
}

pub fn has_lines() -> bool {
    LINES
        .get()
        .is_some_and(|lines| lines.waiting.load(Ordering::Relaxed))
}

pub fn take_lines() -> VecDeque<String> {
    let Some(lines) = LINES.get() else {
        return VecDeque::new();
    };
    lines.waiting.store(false, Ordering::Relaxed);
    std::mem::take(&mut *lines.lines.lock().unwrap_or_else(PoisonError::into_inner))
}

struct Listener;

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN && !metadata.target().starts_with(SILENT)
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(format!("{}:", event.metadata().target()));
        event.record(&mut line);
        let lines = LINES.get_or_try_init(|| Ok::<_, Infallible>(Lines::default()));
        let Ok(lines) = lines;
        let mut waiting = lines.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.contains(&line.0) {
            return;
        }
        if waiting.len() == MOST_LINES {
            waiting.pop_front();
        }
        waiting.push_back(line.0);
        lines.waiting.store(true, Ordering::Relaxed);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_wait_to_be_fetched_once() {
        listen();
        for _ in 0..3 {
            tracing::warn!(target: "library", size = 3, "too large");
            tracing::info!(target: "library", "all is well");
            tracing::warn!(target: "libdd_data_pipeline::agent_info::fetcher", "no answer");
        }
        assert!(has_lines());
        assert_eq!(take_lines(), ["library: too large size=3"]);
        assert!(!has_lines());
    }
}
