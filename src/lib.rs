//! Queue, delivery and accounting of trace chunks between a tracer and the Datadog agent.
//!
//! Knows nothing of Ruby. Chunks are moved into an [`Exporter`], wait in its bounded queue, and
//! are sent by one task on the process's tokio runtime.

mod agent_info;
pub mod block;
pub mod chunks;
pub mod columns;
pub mod config;
mod delivery;
pub mod diagnostics;
pub mod ending;
mod events;
pub mod exporter;
pub mod fork;
mod gate;
mod process_local;
pub mod queue;
pub mod rates;
mod runtime;
mod sender;
mod signals;
pub mod size;
pub mod span;
mod split;
pub mod stats;
pub mod text;
mod trouble;

pub use exporter::Exporter;
