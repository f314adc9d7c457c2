//! The spans that this process uses again.

use crate::process::ProcessLocal;
use libdd_trace_utils::span::BytesData;
use libdd_trace_utils::span::span_pool::SpanPool;
use std::convert::Infallible;

/// Spans kept for reuse. At some 1,300 bytes each they take a few megabytes.
const MOST_SPANS: usize = 4_096;

static POOL: ProcessLocal<SpanPool<BytesData>> = ProcessLocal::new();

/// Returns libdd's pool, from which spans are taken to be lowered into, and to which the sender returns them. A forked
/// child has its own, since the parent's may have been in use at the fork.
pub fn pool() -> &'static SpanPool<BytesData> {
    let Ok(pool) =
        POOL.get_or_try_init(|| Ok::<_, Infallible>(SpanPool::with_capacity(MOST_SPANS)));
    pool
}
