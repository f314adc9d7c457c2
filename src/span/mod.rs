//! Spans between the tracer and the queue: libdd's own [`SpanBytes`], in chunks, with the text that they share.

mod chunks;
mod events_json;
mod otlp;
mod pool;
mod prepare;
mod size;
mod static_texts;
mod text_arena;

pub use chunks::{Chunk, LeftOut, Refused, TraceChunks};
pub use events_json::json_array;
pub use libdd_trace_utils::span::v04::{
    AttributeAnyValueBytes, AttributeArrayValueBytes, SpanBytes, SpanEventBytes, SpanLinkBytes,
    VecMap,
};
pub use otlp::{drop_unsampled, leave_out_infinities, prepare_for_otlp};
pub use pool::{POOL_CHUNK, pool, reclaim_spans, take_spans};
pub use prepare::{encoded_len, ends_in_future, limit_duration, prepare};
pub use size::{Size, span_memory};
pub use static_texts::make_static;
pub use text_arena::{Appended, ArenaText, TextArena, TextError};

/// The most that an agent takes in one request, in bytes (`max_request_bytes` of the Go agent).
pub const AGENT_MAX_BYTES: usize = 25 * 1024 * 1024;
