//! The spans that this process uses again.

use super::SpanBytes;
use crate::process::ProcessLocal;
use libdd_trace_utils::span::BytesData;
use libdd_trace_utils::span::span_pool::SpanPool;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Spans kept for reuse. At some 1,300 bytes each they take a few megabytes.
const MOST_SPANS: usize = 4_096;
/// Links, events or structured values that a span keeps room for when it is used again.
const MOST_SPARE: usize = 8;

static POOL: ProcessLocal<Pool> = ProcessLocal::new();

/// A forked child has its own, since the parent's may have been in use at the fork.
struct Pool {
    sent: SpanPool<BytesData>,
    ready: Mutex<Vec<SpanBytes>>,
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

    fn ready(&self) -> MutexGuard<'_, Vec<SpanBytes>> {
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
    let mut ready = Pool::get().ready();
    let used = count.min(ready.len());
    let rest = ready.len() - used;
    // Moved once: most of what a span costs is the memory that goes through the processor.
    spans.extend(ready.drain(rest..));
    drop(ready);
    spans.extend((used..count).map(|_| SpanBytes::default()));
}

/// Makes the spans that came back from being sent ready to be taken. For the sender's thread alone.
pub fn reclaim_spans() {
    let pool = Pool::get();
    while !pool.sent.is_empty() {
        let span = trimmed(pool.sent.get_span());
        let mut ready = pool.ready();
        if ready.len() < MOST_SPANS {
            ready.push(span);
        }
    }
}

/// Returns a used span without the room for many links, events or structured values, which few spans have.
fn trimmed(mut span: SpanBytes) -> SpanBytes {
    if span.span_links.capacity() > MOST_SPARE {
        span.span_links = Vec::new();
    }
    if span.span_events.capacity() > MOST_SPARE {
        span.span_events = Vec::new();
    }
    if span.meta_struct.capacity() > MOST_SPARE {
        span.meta_struct = Default::default();
    }
    span
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
}
