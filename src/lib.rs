//! Queue, delivery and accounting of trace chunks between a tracer and the Datadog agent.
//!
//! ```text
//! application's threads                │ one tokio thread
//!                                      │
//! TraceChunks ──▶ Exporter ──▶ Queue ──┼──▶ sender ──▶ TraceExporter ──▶ HTTP capability ──▶ agent
//!                                ▲     │                  (encodes)       (retries, splits)
//!                                └─────┼── counts, replies, sampling rates ◀──┘
//! ```
//!
//! - [`span`]: the spans, in libdatadog's own model, and what they weigh.
//! - [`otel`]: OpenTelemetry's spans as Datadog has them.
//! - [`queue`]: the bounded queue, and waiting for what becomes of its chunks.
//! - `delivery`: the task that sends, and its policy: retries, circuit breaker, splitting.
//! - [`report`]: counters, sampling rates and lines for the log.
//! - [`process`]: forks and signals.
//!
//! Nothing here depends on the language that the tracer is written in.

#![deny(unsafe_code)]

pub mod config;
mod delivery;
mod exporter;
pub mod otel;
pub mod process;
pub mod queue;
pub mod report;
mod runtime;
pub mod shutdown;
pub mod span;
#[cfg(test)]
mod testing;

pub use config::Config;
pub use exporter::Exporter;
pub use process::{ProcessLocal, fork};
pub use queue::{Interrupt, Waiter};

/// Prepares the process. Must be called when the library is loaded, before anything else of this
/// crate, by a thread that may change the application's environment (in Ruby: that holds the GVL).
///
/// Starts to count forks and to collect warnings of the Rust libraries, has panics on threads of
/// this crate go to the log, and switches backtraces of errors off, whose lock a forked child may
/// inherit.
pub fn init() {
    fork::watch();
    process::environment::disable_backtraces();
    process::panics::install_hook();
    report::library_log::listen();
}
