//! Delivery of payloads to the agent, or to an OTLP collector.
//!
//! Payloads go through libdatadog's `TraceExporter`, which encodes them and sets the headers of a
//! request, so that the agent's protocol stays libdatadog's matter. The exporter alone would repeat
//! any failed request five times at fixed intervals, whatever failed, and could neither split a
//! payload nor wait for an agent to come back. It takes its HTTP client as a type parameter,
//! though, and so the delivery policy lives there: [`capability`] is that client, and
//! [`attempts`] decides what a request of it comes to. Only spans of OpenTelemetry's SDK that go
//! to an OTLP endpoint don't pass through the exporter, see [`sdk_spans`].
//!
//! ```text
//! sender ──▶ Delivery::send ──▶ TraceExporter ──▶ AgentClient ──▶ Delivery::run ──▶ HttpClient
//! (packs)                         (encodes)     (capability)    (attempts, split)   (hyper)
//!                                                    │                                 ▲
//!                                                    └──▶ StatisticsRequests ──────────┘
//! ```

mod agent_info;
mod answer;
mod attempts;
mod backoff;
mod breaker;
mod capability;
mod deadline;
mod failure;
mod http_client;
mod known_info;
mod late_answer;
mod made_request;
mod partial_success;
mod payload;
mod sdk_spans;
mod sender;
mod split;
mod statistics;
mod trace_exporter;

pub use sender::start;
