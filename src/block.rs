//! Chunks that stand in the same memory, and share the text that they have in common.

use crate::columns::{Columns, Extras, Fields, Mark, about, put};
use crate::size::Size;
use crate::span::SpanDraft;
use libdd_trace_utils::msgpack_encoder::v04::to_encoded_byte_len_from_v04;
use libdd_trace_utils::span::v04::SpanSlice;
use std::collections::HashSet;
use std::ops::Range;

/// Meta key of the high half of a 128-bit trace id, 16 lowercase hexadecimal digits
/// (Datadog's propagation format for 128-bit trace ids).
const TRACE_ID_HIGH: &str = "_dd.p.tid";

/// With so many bytes a block is full: some seventy spans. All of it stays until the last of its chunks is gone.
const FULL: usize = 32 * 1024;

/// Chunks of so many bytes have a block of their own.
const LARGE: usize = 8 * FULL;

/// Memory that may be kept for the next chunks, in bytes.
const KEPT: usize = 1024 * 1024;

/// Chunks one after the other. The last one can still grow.
#[derive(Debug, Default)]
pub struct Block {
    pub columns: Columns,
    spans: Vec<Fields>,
    chunks: Vec<Chunk>,
    /// Of the trace whose spans are not a chunk yet.
    trace_id: u128,
    /// Where these begin.
    begun: Mark,
    size: Size,
}

/// Spans of one trace that are sent, or dropped, together.
#[derive(Clone, Copy, Debug, Default)]
struct Chunk {
    trace_id: u128,
    /// How many spans there are up to its end.
    spans_end: usize,
    size: Size,
}

impl Block {
    /// Ends a span: what was put into the columns since the last one is its own.
    #[inline]
    pub fn end_span(&mut self, mut span: Fields) {
        span.meta_end = self.columns.meta.len() as u32;
        span.metrics_end = self.columns.metrics.len() as u32;
        self.spans.push(span);
    }

    /// As [`Block::end_span`], with what few spans have.
    pub fn end_span_with(&mut self, mut span: Fields, extras: Extras) {
        self.columns.push_extras(&mut span, extras);
        self.end_span(span);
    }

    pub fn set_trace_id(&mut self, trace_id: u128) {
        self.trace_id = trace_id;
    }

    /// Number of spans that were ended and are not a chunk yet.
    pub fn pending(&self) -> usize {
        self.spans.len() - self.end_of_chunks()
    }

    /// Makes them one.
    pub fn end_chunk(&mut self) -> Size {
        let spans_end = self.spans.len();
        let mut size = self.size_since(self.begun, self.end_of_chunks());
        size.chunks = 1;
        size.memory += size_of::<Chunk>();
        self.add(Chunk {
            trace_id: self.trace_id,
            spans_end,
            size,
        });
        size
    }

    /// Takes them out.
    pub fn cancel_chunk(&mut self) {
        if self.is_empty() {
            return self.clear();
        }
        self.spans.truncate(self.end_of_chunks());
        self.columns.rewind(self.begun);
        self.columns.texts.take_overflowed();
    }

    /// Whether they are so many that small chunks should not stay in memory because of them.
    pub fn is_pending_large(&self) -> bool {
        self.columns.memory_since(self.begun) >= LARGE
    }

    /// Starts a chunk that [`Block::push`] puts spans into, with room for some.
    pub fn begin_chunk(&mut self, capacity: usize) {
        self.spans.reserve(capacity);
        self.add(Chunk {
            spans_end: self.spans.len(),
            ..Chunk::default()
        });
    }

    /// Moves a span into the last chunk, which becomes part of the trace that the first one has begun. What it
    /// adds to the size.
    pub fn push(&mut self, span: SpanDraft) -> Size {
        let from = self.spans.len();
        let trace_id = span.trace_id();
        let (mut span, mut columns) = span.into_parts();
        self.columns
            .append(&mut columns, std::slice::from_mut(&mut span));
        self.spans.push(span);
        let mut more = self.size_since(self.begun, from);
        self.begun = self.columns.mark();
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.spans_end += 1;
            if chunk.size.spans == 0 {
                chunk.trace_id = trace_id;
                more.chunks = 1;
                more.memory += size_of::<Chunk>();
            }
            chunk.size += more;
        }
        self.size += more;
        more
    }

    /// Moves in the spans of another that are not a chunk yet.
    pub fn append(&mut self, other: &mut Self) {
        self.trace_id = other.trace_id;
        self.columns.append(&mut other.columns, &mut other.spans);
        self.spans.append(&mut other.spans);
        other.clear();
    }

    /// Number of chunks.
    pub fn len(&self) -> usize {
        self.chunks.len()
    }

    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub fn is_full(&self) -> bool {
        self.size.memory >= FULL
    }

    /// What a chunk weighs. All text that it shares is part of the first chunk that has it.
    pub fn size(&self, chunk: usize) -> Size {
        self.chunks[chunk].size
    }

    /// The trace that the last chunk belongs to, once it has a span.
    pub fn trace_id(&self) -> Option<u128> {
        let chunk = self.chunks.last()?;
        (chunk.size.spans > 0).then_some(chunk.trace_id)
    }

    /// The chunks: with the memory that they were put into, which gets as much again, or in memory of just their
    /// size when that is little to copy or would leave much free. Bytes that are free in it, by which the last chunk
    /// weighs more.
    pub fn take(&mut self) -> (Self, usize) {
        let (held, spare) = (self.size.memory, self.spare());
        if held > KEPT || (self.is_full() && spare <= held / 2) {
            // What weighs nothing is not handed on, nor answered for.
            if let Some(last) = self.chunks.iter_mut().rfind(|chunk| chunk.size.spans > 0) {
                last.size.memory += spare;
            }
            let again = self.with_equal_room();
            return (std::mem::replace(self, again), spare);
        }
        let block = Self {
            columns: self.columns.take_exact(),
            spans: self.spans.as_slice().to_vec(),
            chunks: self.chunks.as_slice().to_vec(),
            ..*self
        };
        self.clear();
        (block, 0)
    }

    /// The spans of a chunk as they are sent: the wire has room for 64 bits of a trace id, so that the root
    /// carries the rest as a tag, unless the tracer has set it on any of them. With `typed_events` events go as
    /// such, or else as JSON in a tag.
    pub fn to_spans(&self, chunk: usize, typed_events: bool) -> Vec<SpanSlice<'_>> {
        let trace_id = self.chunks[chunk].trace_id;
        let range = self.spans_of(chunk);
        let before = self.spans[..range.start].last();
        let mut from = before.map_or((0, 0), |span| (span.meta_end, span.metrics_end));
        let all = &self.spans[range];
        let high = (trace_id >> 64) as u64;
        let root = (high != 0).then(|| root(all)).flatten();
        let mut spans = Vec::with_capacity(all.len());
        for (index, fields) in all.iter().enumerate() {
            // The library tags the first span.
            let more = usize::from(index == 0) + usize::from(root == Some(index));
            let span = self
                .columns
                .span(trace_id, fields, from, more, typed_events);
            spans.push(span);
            from = (fields.meta_end, fields.metrics_end);
        }
        if let Some(root) = root
            && !spans
                .iter()
                .any(|span| span.meta.contains_key(TRACE_ID_HIGH))
        {
            let high = format!("{high:016x}");
            put(&mut spans[root].meta, TRACE_ID_HIGH, high.into());
        }
        spans
    }

    /// Bytes that a chunk takes in a v0.4 payload, at the most. Encodes it to count them.
    pub fn wire_size(&self, chunk: usize) -> usize {
        let bound = self.size(chunk).wire;
        if bound >= Size::TOO_LARGE {
            return bound;
        }
        let sizes = [true, false].map(|typed_events| {
            to_encoded_byte_len_from_v04(&[self.to_spans(chunk, typed_events)])
        });
        sizes.into_iter().max().unwrap_or_default() as usize
    }

    fn clear(&mut self) {
        self.columns.clear();
        self.spans.clear();
        self.chunks.clear();
        self.begun = Mark::default();
        self.size = Size::default();
        if self.spare() > KEPT {
            *self = Self::default();
        }
    }

    /// An empty one, with room for about as much unless that is more than may be kept.
    fn with_equal_room(&self) -> Self {
        if self.size.memory > KEPT {
            return Self::default();
        }
        Self {
            columns: self.columns.with_equal_room(),
            spans: Vec::with_capacity(about(self.spans.len())),
            chunks: Vec::with_capacity(about(self.chunks.len())),
            ..Self::default()
        }
    }

    /// Bytes that it keeps free.
    fn spare(&self) -> usize {
        let spans = (self.spans.capacity() - self.spans.len()) * size_of::<Fields>();
        let chunks = (self.chunks.capacity() - self.chunks.len()) * size_of::<Chunk>();
        self.columns.spare() + spans + chunks
    }

    fn add(&mut self, chunk: Chunk) {
        self.chunks.push(chunk);
        self.begun = self.columns.mark();
        self.size += chunk.size;
    }

    fn size_since(&mut self, mark: Mark, from: usize) -> Size {
        self.columns.size_since(mark, &self.spans[from..])
    }

    fn end_of_chunks(&self) -> usize {
        self.chunks.last().map_or(0, |chunk| chunk.spans_end)
    }

    fn spans_of(&self, chunk: usize) -> Range<usize> {
        let before = self.chunks[..chunk].last();
        before.map_or(0, |chunk| chunk.spans_end)..self.chunks[chunk].spans_end
    }
}

/// Index of the span that the others descend from: one without a parent, or else one whose parent
/// is elsewhere (in the caller of a distributed trace, or in a part that was sent before).
fn root(spans: &[Fields]) -> Option<usize> {
    spans
        .iter()
        .position(|span| span.numbers.parent_id == 0)
        .or_else(|| {
            let here: HashSet<u64> = spans.iter().map(|span| span.numbers.span_id).collect();
            spans
                .iter()
                .position(|span| !here.contains(&span.numbers.parent_id))
        })
        .or_else(|| (!spans.is_empty()).then_some(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::{Labels, Numbers};

    fn span(trace_id: u128, span_id: u64, parent_id: u64) -> SpanDraft {
        let numbers = Numbers {
            span_id,
            parent_id,
            ..Numbers::default()
        };
        SpanDraft::new(trace_id, numbers)
    }

    fn tagged(ids: &[(u64, u64)], preset: Option<&str>) -> Vec<Option<String>> {
        let mut block = Block::default();
        block.begin_chunk(1);
        for &(span_id, parent_id) in ids {
            let mut span = span((0xabc << 64) | 5, span_id, parent_id);
            if let Some(preset) = preset {
                let (key, value) = (span.texts().push(TRACE_ID_HIGH), span.texts().push(preset));
                span.set_meta(key, value);
            }
            block.push(span);
        }
        let tag = |span: &SpanSlice| span.meta.get(TRACE_ID_HIGH).map(ToString::to_string);
        block.to_spans(0, true).iter().map(tag).collect()
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
    fn each_span_keeps_its_own_tags() {
        let mut block = Block::default();
        for id in 1..7 {
            // Two spans a chunk.
            if id % 2 == 1 {
                block.begin_chunk(1);
            }
            let mut span = span(5, id, 0);
            for tag in 0..id {
                let (key, value) = (format!("key {tag}"), format!("{id}"));
                let (key, value) = (span.texts().push(&key), span.texts().push(&value));
                span.set_meta(key, value);
                span.set_metric(key, id as f64);
            }
            span.set_meta_struct(id.to_string().into(), vec![1]);
            block.push(span);
        }
        let (block, _) = block.take();
        let spans = (0..block.len()).flat_map(|chunk| block.to_spans(chunk, true));
        for (span, id) in spans.zip(1..) {
            assert_eq!((span.meta.len(), span.metrics.len()), (id, id));
            assert!(span.meta.iter().all(|(_, value)| **value == id.to_string()));
            assert!(span.metrics.iter().all(|(_, value)| *value == id as f64));
            assert!(span.meta_struct.get(id.to_string().as_str()).is_some());
        }
    }

    #[test]
    fn text_that_spans_share_weighs_as_often_as_it_is_sent() {
        let mut block = Block::default();
        let text = block.columns.texts.push(&"x".repeat(1_000));
        for _ in 0..2 {
            for _ in 0..9 {
                let labels = Labels {
                    name: text,
                    service: text,
                    resource: text,
                    r#type: text,
                };
                block.columns.meta.push((text, text));
                block.columns.metrics.push((text, 0.5));
                block.end_span(Fields {
                    labels,
                    ..Fields::default()
                });
            }
            block.end_chunk();
        }
        for chunk in [0, 1] {
            let bound = block.size(chunk).wire;
            assert!(block.wire_size(chunk) <= bound && bound < 70_000, "{bound}");
        }
        assert!(block.size(0).memory + block.size(1).memory < 7_000);
    }

    #[test]
    fn a_name_that_is_the_resource_too_weighs_twice() {
        let mut block = Block::default();
        block.begin_chunk(1);
        for id in 1..4 {
            let mut span = span(5, id, 0);
            let name = span.texts().push(&"x".repeat(1_000));
            span.set_name(name);
            block.push(span);
        }
        assert!(block.wire_size(0) <= block.size(0).wire);
    }

    #[test]
    fn what_was_cancelled_leaves_the_others_whole() {
        let mut block = Block::default();
        let end = |block: &mut Block, name: &str| {
            let name = block.columns.texts.push(name);
            block.columns.meta.push((name, name));
            block.columns.repaired += 1;
            block.end_span(Fields {
                labels: Labels {
                    name,
                    ..Labels::default()
                },
                ..Fields::default()
            });
        };
        end(&mut block, "first");
        block.end_chunk();
        end(&mut block, "cancelled");
        assert_eq!(block.pending(), 1);
        block.cancel_chunk();
        assert_eq!(block.pending(), 0);
        let mut other = Block::default();
        end(&mut other, "other");
        block.append(&mut other);
        assert_eq!((block.end_chunk().repaired, other.pending()), (1, 0));
        let (block, _) = block.take();
        let names: Vec<_> = (0..block.len())
            .map(|chunk| block.to_spans(chunk, true).remove(0))
            .map(|span| (span.name.to_string(), span.meta.get("other").is_some()))
            .collect();
        assert_eq!(names, [("first".into(), false), ("other".into(), true)]);
    }

    #[test]
    fn a_full_block_is_moved_and_another_is_copied() {
        let mut block = Block::default();
        let fill = |block: &mut Block, spans: u64| {
            block.begin_chunk(1);
            for id in 0..spans {
                let mut span = span(1, id, 0);
                let text = span.texts().push(&"x".repeat(100));
                span.set_service(text);
                block.push(span);
            }
        };
        for (spans, room_after) in [(10, 10), (300, 300), (20_000, 0)] {
            fill(&mut block, spans);
            block.begin_chunk(0);
            let held = block.size.memory + block.spare();
            let (taken, spare) = block.take();
            assert_eq!(taken.size(0).spans, spans as usize);
            assert_eq!(taken.size(0).memory, taken.size.memory + spare);
            assert_eq!(taken.size(1), Size::default());
            assert!(taken.size(0).memory <= held);
            assert!(block.is_empty() && block.spans.capacity() >= room_after);
            assert!(block.spare() <= KEPT);
        }
    }
}
