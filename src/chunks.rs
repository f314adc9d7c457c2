//! Trace chunks on their way from the tracer to the queue.

use crate::size::Size;
use libdd_tinybytes::BytesString;
use libdd_trace_utils::span::v04::SpanBytes;
use std::collections::{HashSet, VecDeque};

/// Meta key of the high half of a 128-bit trace id, 16 lowercase hexadecimal digits
/// (Datadog's propagation format for 128-bit trace ids).
const TRACE_ID_HIGH: BytesString = BytesString::from_static("_dd.p.tid");

/// Spans of one trace that are sent, or dropped, together.
#[derive(Debug, Default)]
pub struct Chunk {
    spans: Vec<SpanBytes>,
    size: Size,
}

/// A list of chunks that is filled by one owner and then handed over whole.
#[derive(Debug, Default)]
pub struct TraceChunks {
    chunks: VecDeque<Chunk>,
    size: Size,
}

impl Chunk {
    pub fn with_capacity(spans: usize) -> Self {
        Self {
            spans: Vec::with_capacity(spans),
            size: Size::default(),
        }
    }

    pub fn push(&mut self, span: SpanBytes, size: Size) {
        self.size.chunks = 1;
        self.size += size;
        self.spans.push(span);
    }

    /// The trace that the chunk belongs to, once it has a span.
    pub fn trace_id(&self) -> Option<u128> {
        self.spans.first().map(|span| span.trace_id)
    }

    pub fn size(&self) -> Size {
        self.size
    }

    /// The spans as they are sent: the wire has room for 64 bits of a trace id, so that the root
    /// carries the rest as a tag, unless the tracer has set it.
    pub fn into_spans(mut self) -> Vec<SpanBytes> {
        let high = self.trace_id().map_or(0, |id| (id >> 64) as u64);
        if high != 0
            && let Some(root) = root(&self.spans)
            && !self.spans[root].meta.contains_key(TRACE_ID_HIGH.as_str())
        {
            let meta = &mut self.spans[root].meta;
            let unique = meta.is_deduped();
            meta.insert(TRACE_ID_HIGH, BytesString::from(format!("{high:016x}")));
            if unique {
                meta.mark_deduped();
            }
        }
        self.spans
    }
}

/// Index of the span that the others descend from: one without a parent, or else one whose parent
/// is elsewhere (in the caller of a distributed trace, or in a part that was sent before).
fn root(spans: &[SpanBytes]) -> Option<usize> {
    spans
        .iter()
        .position(|span| span.parent_id == 0)
        .or_else(|| {
            let here: HashSet<u64> = spans.iter().map(|span| span.span_id).collect();
            spans
                .iter()
                .position(|span| !here.contains(&span.parent_id))
        })
        .or_else(|| (!spans.is_empty()).then_some(0))
}

impl TraceChunks {
    /// Makes room for more chunks.
    pub fn reserve(&mut self, chunks: usize) {
        self.chunks.reserve(chunks);
    }

    /// Starts a new chunk, into which [`TraceChunks::push`] puts spans from then on.
    pub fn begin_chunk(&mut self, capacity: usize) {
        self.chunks.push_back(Chunk::with_capacity(capacity));
    }

    /// The chunk that spans are put into.
    pub fn current(&self) -> Option<&Chunk> {
        self.chunks.back()
    }

    /// Adds a span to the current chunk, or to a new one when none was begun.
    pub fn push(&mut self, span: SpanBytes, size: Size) {
        if self.chunks.is_empty() {
            self.begin_chunk(1);
        }
        if let Some(chunk) = self.chunks.back_mut() {
            self.size -= chunk.size;
            chunk.push(span, size);
            self.size += chunk.size;
        }
    }

    /// Number of chunks begun, those without spans included.
    pub fn len(&self) -> usize {
        self.chunks.len()
    }

    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// What the chunks weigh; those without spans count for nothing.
    pub fn size(&self) -> Size {
        self.size
    }

    /// What the first chunk weighs.
    pub fn first_size(&self) -> Option<Size> {
        self.chunks.front().map(Chunk::size)
    }

    /// Takes the first chunk out.
    pub fn pop_front(&mut self) -> Option<Chunk> {
        let chunk = self.chunks.pop_front()?;
        self.size -= chunk.size;
        Some(chunk)
    }

    pub fn into_chunks(self) -> impl Iterator<Item = Chunk> {
        self.chunks.into_iter().filter(|chunk| chunk.size.spans > 0)
    }
}

impl Extend<Chunk> for TraceChunks {
    fn extend<I: IntoIterator<Item = Chunk>>(&mut self, chunks: I) {
        for chunk in chunks {
            self.size += chunk.size;
            self.chunks.push_back(chunk);
        }
    }
}

impl FromIterator<Chunk> for TraceChunks {
    fn from_iter<I: IntoIterator<Item = Chunk>>(chunks: I) -> Self {
        let mut all = Self::default();
        all.extend(chunks);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(ids: &[(u64, u64)], preset: Option<&'static str>) -> Vec<Option<String>> {
        let mut chunk = Chunk::default();
        for &(span_id, parent_id) in ids {
            let mut span = SpanBytes {
                trace_id: (0xabc << 64) | 5,
                span_id,
                parent_id,
                ..Default::default()
            };
            if let Some(preset) = preset {
                span.meta.insert(TRACE_ID_HIGH, preset.into());
            }
            let size = Size::of_span(&span);
            chunk.push(span, size);
        }
        let tag = |span: &SpanBytes| span.meta.get("_dd.p.tid").map(|v| v.copy_to_string());
        chunk.into_spans().iter().map(tag).collect()
    }

    #[test]
    fn the_root_carries_the_high_half_of_the_trace_id() {
        let high = Some("0000000000000abc".to_owned());
        assert_eq!(tagged(&[(3, 2), (2, 0)], None), [None, high.clone()]);
        assert_eq!(tagged(&[(3, 2), (2, 9)], None), [None, high.clone()]);
        assert_eq!(tagged(&[(3, 2), (2, 3)], None), [high, None]);
        assert_eq!(tagged(&[(2, 0)], Some("own")), [Some("own".to_owned())]);
    }

    #[test]
    fn chunks_without_spans_weigh_nothing_and_are_not_handed_on() {
        let mut chunks = TraceChunks::default();
        chunks.begin_chunk(0);
        chunks.begin_chunk(1);
        let span = SpanBytes::default();
        let size = Size::of_span(&span);
        chunks.push(span, size);
        chunks.begin_chunk(0);
        assert_eq!(
            (chunks.len(), chunks.size().chunks, chunks.size().spans),
            (3, 1, 1)
        );
        assert_eq!(chunks.into_chunks().count(), 1);
    }
}
