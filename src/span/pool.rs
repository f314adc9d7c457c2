//! The spans that this process uses again.

use super::SpanBytes;
use crate::process::ProcessLocal;
use libdd_trace_utils::span::BytesData;
use libdd_trace_utils::span::span_pool::SpanPool;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Spans kept for reuse. At some 1,300 bytes each they take a few megabytes.
const MOST_SPANS: usize = 4_096;
/// Spans that libdd's pool keeps together: longer chunks are divided (`MAX_BATCH_SIZE` of its `span_pool.rs`).
pub const POOL_CHUNK: usize = 20;
/// Links, events or structured values that a span keeps room for when it is used again.
const MOST_SPARE: usize = 8;

static POOL: ProcessLocal<Pool> = ProcessLocal::new();

/// A forked child has its own, since the parent's may have been in use at the fork.
struct Pool {
    sent: SpanPool<BytesData>,
    ready: Mutex<Ready>,
}

/// Spans that can be taken, in the chunks in which they were sent. Most of what a span costs is the memory that goes
/// through the processor, so a chunk is taken without moving its spans where it can be.
#[derive(Default)]
struct Ready {
    chunks: Vec<Vec<SpanBytes>>,
    spans: usize,
}

impl Ready {
    fn push(&mut self, chunk: Vec<SpanBytes>) {
        if self.spans + chunk.len() <= MOST_SPANS {
            self.spans += chunk.len();
            self.chunks.push(chunk);
        }
    }

    fn take(&mut self, spans: &mut Vec<SpanBytes>, count: usize) {
        let enough = spans.len() + count;
        while spans.len() < enough
            && let Some(mut chunk) = self.chunks.pop()
        {
            let surplus = (spans.len() + chunk.len()).saturating_sub(enough);
            self.spans -= chunk.len() - surplus;
            if surplus == 0 && spans.capacity() == 0 {
                *spans = chunk;
                continue;
            }
            spans.extend(chunk.drain(surplus..));
            if surplus > 0 {
                self.chunks.push(chunk);
            }
        }
    }
}

impl Pool {
    fn get() -> &'static Self {
        let Ok(pool) = POOL.get_or_try_init(|| {
            Ok::<_, Infallible>(Self {
                sent: SpanPool::with_capacity(MOST_SPANS),
                ready: Mutex::default(),
            })
        });
        pool
    }

    fn ready(&self) -> MutexGuard<'_, Ready> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns libdd's pool, to which the trace exporter returns the spans that it has sent.
pub fn pool() -> &'static SpanPool<BytesData> {
    &Pool::get().sent
}

/// Adds spans to lower into to a list, used ones as long as there are any.
///
/// libdd's own way to take one isn't for threads of the application: each that has used it takes a lock of the whole
/// process when it ends, and a child that is forked at that moment would wait for it for ever.
pub fn take_spans(spans: &mut Vec<SpanBytes>, count: usize) {
    let enough = spans.len() + count;
    Pool::get().ready().take(spans, count);
    spans.resize_with(enough, SpanBytes::default);
}

/// Makes the spans that came back from being sent ready to be taken. For the sender's thread alone.
pub fn reclaim_spans() {
    let pool = Pool::get();
    let mut chunk = Vec::with_capacity(POOL_CHUNK);
    while !pool.sent.is_empty() {
        for _ in 0..POOL_CHUNK {
            chunk.push(pool.sent.get_span());
            if let Some(span) = chunk.last_mut() {
                trim(span);
            }
            // Has room once the last span of a chunk was taken.
            let empty = pool.sent.pull_empty_chunk();
            if empty.capacity() > 0 {
                chunk.shrink_to_fit();
                pool.ready().push(std::mem::replace(&mut chunk, empty));
                break;
            }
        }
    }
}

/// Takes the room for many links, events or structured values, which few spans have, from a used span.
fn trim(span: &mut SpanBytes) {
    if span.span_links.capacity() > MOST_SPARE {
        span.span_links = Vec::new();
    }
    if span.span_events.capacity() > MOST_SPARE {
        span.span_events = Vec::new();
    }
    if span.meta_struct.capacity() > MOST_SPARE {
        span.meta_struct = Default::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_used_again_without_what_they_held() {
        let sent = || SpanBytes {
            trace_id: 7,
            span_events: Vec::with_capacity(1_000),
            meta: [("key".into(), "value".into())].into_iter().collect(),
            ..Default::default()
        };
        // The library drops some.
        pool().add_chunks((0..20).map(|_| vec![sent()]));
        reclaim_spans();
        let mut spans = Vec::new();
        take_spans(&mut spans, 50);
        assert_eq!(spans.len(), 50);
        let used = spans.iter().filter(|span| span.meta.capacity() > 0);
        assert!(used.count() > 5);
        for span in spans {
            assert_eq!((span.trace_id, span.meta.len()), (0, 0));
            assert!(span.span_events.capacity() <= MOST_SPARE);
        }
    }

    #[test]
    fn a_chunk_is_taken_as_it_is_where_it_is_not_too_long() {
        let mut ready = Ready::default();
        for length in [3, 5] {
            ready.push(vec![SpanBytes::default(); length]);
        }
        let of_five = ready.chunks[1].as_ptr();
        let mut spans = Vec::new();
        ready.take(&mut spans, 5);
        assert_eq!((spans.as_ptr(), spans.len()), (of_five, 5));
        // A part of the other one.
        ready.take(&mut spans, 1);
        assert_eq!((spans.len(), ready.spans), (6, 2));
        let mut few = Vec::new();
        ready.take(&mut few, 1);
        assert_eq!((few.len(), ready.spans), (1, 1));
        ready.take(&mut few, 3);
        assert_eq!((few.len(), ready.spans, ready.chunks.len()), (2, 0, 0));
    }

    #[test]
    fn no_more_spans_are_kept_than_allowed() {
        let mut ready = Ready::default();
        for _ in 0..MOST_SPANS {
            ready.push(vec![SpanBytes::default(); 3]);
        }
        assert!((MOST_SPANS - 3..=MOST_SPANS).contains(&ready.spans));
    }
}
