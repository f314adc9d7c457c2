//! OpenTelemetry's spans: as Datadog has them, which is what the Go agent makes of OTLP (`pkg/trace/transform` of
//! DataDog/datadog-agent), and as OTLP has them.

mod keys;
mod kind;
mod names;
pub mod otlp;

pub use keys::{Key, datadog_key};
pub use kind::Kind;
pub use names::Names;
