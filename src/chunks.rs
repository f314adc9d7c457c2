//! Trace chunks on their way from the tracer to the queue.

use crate::columns::{Columns, Extras, Fields, put};
use crate::size::Size;
use crate::span::SpanDraft;
use libdd_trace_utils::msgpack_encoder::v04::to_encoded_byte_len_from_v04;
use libdd_trace_utils::span::v04::SpanSlice;
use std::collections::{HashSet, VecDeque};

/// Meta key of the high half of a 128-bit trace id, 16 lowercase hexadecimal digits
/// (Datadog's propagation format for 128-bit trace ids).
const TRACE_ID_HIGH: &str = "_dd.p.tid";

/// Spans of one trace that are sent, or dropped, together.
#[derive(Debug, Default)]
pub struct Chunk {
    trace_id: u128,
    spans: Vec<Fields>,
    columns: Columns,
    extras: Size,
    size: Size,
}

/// A list of chunks that is filled by one owner and then handed over whole.
#[derive(Debug, Default)]
pub struct TraceChunks {
    chunks: VecDeque<Chunk>,
    size: Size,
    refused: Refused,
}

/// Spans that could not be made part of a chunk.
#[derive(Debug, Default)]
pub struct Refused {
    pub spans: usize,
    /// What was wrong with the latest.
    pub problem: String,
}

impl Chunk {
    pub fn with_capacity(spans: usize) -> Self {
        Self {
            spans: Vec::with_capacity(spans),
            ..Self::default()
        }
    }

    /// Moves a span in, which becomes part of the trace that the first one has begun.
    pub fn push(&mut self, span: SpanDraft) {
        if self.spans.is_empty() {
            self.trace_id = span.trace_id();
        }
        let (mut span, mut columns) = span.into_parts();
        let to = &mut self.columns;
        let moved = to.texts.append(&columns.texts);
        let labels = &mut span.labels;
        for label in [
            &mut labels.name,
            &mut labels.service,
            &mut labels.resource,
            &mut labels.r#type,
        ] {
            *label = moved.moved(*label);
        }
        let meta = columns.meta.iter();
        to.meta
            .extend(meta.map(|&(key, value)| (moved.moved(key), moved.moved(value))));
        let metrics = columns.metrics.iter();
        to.metrics
            .extend(metrics.map(|&(key, value)| (moved.moved(key), value)));
        to.repeated += columns.repeated;
        to.repaired += columns.repaired;
        to.left_out += columns.left_out;
        span.meta_end = to.meta.len() as u32;
        span.metrics_end = to.metrics.len() as u32;
        for extras in columns.extras.drain(..) {
            self.extras += Size::of_extras(&extras);
            to.push_extras(&mut span, extras);
        }
        self.spans.push(span);
        self.measure();
    }

    /// The trace that the chunk belongs to, once it has a span.
    pub fn trace_id(&self) -> Option<u128> {
        (!self.spans.is_empty()).then_some(self.trace_id)
    }

    pub fn size(&self) -> Size {
        self.size
    }

    /// The spans as they are sent: the wire has room for 64 bits of a trace id, so that the root
    /// carries the rest as a tag, unless the tracer has set it on any of them. With `typed_events` events go as
    /// such, or else as JSON in a tag.
    pub fn to_spans(&self, typed_events: bool) -> Vec<SpanSlice<'_>> {
        let high = (self.trace_id >> 64) as u64;
        let root = (high != 0).then(|| root(&self.spans)).flatten();
        let mut from = (0, 0);
        let mut spans = Vec::with_capacity(self.spans.len());
        for (index, fields) in self.spans.iter().enumerate() {
            // The library tags the first span.
            let more = usize::from(index == 0) + usize::from(root == Some(index));
            let span = self
                .columns
                .span(self.trace_id, fields, from, more, typed_events);
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

    /// Bytes that the chunk takes in a v0.4 payload, at the most. Encodes it to count them.
    pub fn wire_size(&self) -> usize {
        if self.columns.texts.overflowed() {
            return usize::MAX;
        }
        let sizes = [true, false]
            .map(|typed_events| to_encoded_byte_len_from_v04(&[self.to_spans(typed_events)]));
        sizes.into_iter().max().unwrap_or_default() as usize
    }

    fn measure(&mut self) {
        self.size = self.columns.size(self.spans.len(), self.extras);
        self.size.chunks = 1;
        self.size.memory += size_of::<Self>();
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

/// A chunk in the making whose memory is used again for the next one.
#[derive(Debug, Default)]
pub struct Scratch {
    trace_id: u128,
    pub columns: Columns,
    spans: Vec<Fields>,
    extras: Size,
}

/// See [`Scratch::mark`].
#[derive(Clone, Copy, Default)]
pub struct Mark {
    text: usize,
    meta: usize,
    metrics: usize,
}

/// What a [`Scratch`] may keep for the next trace, in bytes.
const KEPT_SCRATCH: usize = 1024 * 1024;

impl Scratch {
    /// Ends a span: what was put into the columns since the last one is its own.
    #[inline]
    pub fn end_span(&mut self, mut span: Fields) {
        span.meta_end = self.columns.meta.len() as u32;
        span.metrics_end = self.columns.metrics.len() as u32;
        self.spans.push(span);
    }

    /// As [`Scratch::end_span`], with what few spans have.
    pub fn end_span_with(&mut self, mut span: Fields, extras: Extras) {
        self.extras += Size::of_extras(&extras);
        self.columns.push_extras(&mut span, extras);
        self.end_span(span);
    }

    pub fn set_trace_id(&mut self, trace_id: u128) {
        self.trace_id = trace_id;
    }

    /// Number of spans ended.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Where the text, tags and metrics of the next span begin.
    pub fn mark(&self) -> Mark {
        Mark {
            text: self.columns.texts.len(),
            meta: self.columns.meta.len(),
            metrics: self.columns.metrics.len(),
        }
    }

    /// Takes out what was put in for a span that was not ended.
    pub fn rewind(&mut self, mark: Mark) {
        self.columns.texts.truncate(mark.text);
        self.columns.meta.truncate(mark.meta);
        self.columns.metrics.truncate(mark.metrics);
    }

    /// The spans as a chunk, in memory of just their size.
    pub fn take(&mut self) -> Chunk {
        self.columns.count_repeated(&self.spans);
        let mut chunk = Chunk {
            trace_id: self.trace_id,
            columns: self.columns.take_exact(),
            spans: self.spans.as_slice().to_vec(),
            extras: self.extras,
            size: Size::default(),
        };
        chunk.measure();
        self.clear();
        chunk
    }

    pub fn clear(&mut self) {
        self.spans.clear();
        self.columns.clear();
        self.extras = Size::default();
        let held =
            Size::of_columns(&self.columns).memory + Size::of_fields(self.spans.capacity()).memory;
        if held > KEPT_SCRATCH {
            *self = Self::default();
        }
    }
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
    pub fn push(&mut self, span: SpanDraft) {
        if self.chunks.is_empty() {
            self.begin_chunk(1);
        }
        if let Some(chunk) = self.chunks.back_mut() {
            self.size -= chunk.size;
            chunk.push(span);
            self.size += chunk.size;
        }
    }

    /// Adds a chunk.
    pub fn push_chunk(&mut self, chunk: Chunk) {
        self.size += chunk.size;
        self.chunks.push_back(chunk);
    }

    /// Notes spans that could not be made part of a chunk. They are counted as lost when the chunks
    /// are handed over.
    pub fn refuse(&mut self, spans: usize, problem: String) {
        self.refused.spans += spans;
        self.refused.problem = problem;
    }

    pub fn refused(&self) -> &Refused {
        &self.refused
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
        chunks.into_iter().for_each(|chunk| self.push_chunk(chunk));
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
        let mut chunk = Chunk::default();
        for &(span_id, parent_id) in ids {
            let mut span = span((0xabc << 64) | 5, span_id, parent_id);
            if let Some(preset) = preset {
                let (key, value) = (span.texts().push(TRACE_ID_HIGH), span.texts().push(preset));
                span.set_meta(key, value);
            }
            chunk.push(span);
        }
        let tag = |span: &SpanSlice| span.meta.get(TRACE_ID_HIGH).map(ToString::to_string);
        chunk.to_spans(true).iter().map(tag).collect()
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
        let mut chunk = Chunk::default();
        for id in 1..4 {
            let mut span = span(5, id, 0);
            for tag in 0..id {
                let (key, value) = (format!("key {tag}"), format!("{id}"));
                let (key, value) = (span.texts().push(&key), span.texts().push(&value));
                span.set_meta(key, value);
                span.set_metric(key, id as f64);
            }
            chunk.push(span);
        }
        for (span, id) in chunk.to_spans(true).iter().zip(1..) {
            assert_eq!((span.meta.len(), span.metrics.len()), (id, id));
            assert!(span.meta.iter().all(|(_, value)| **value == id.to_string()));
            assert!(span.metrics.iter().all(|(_, value)| *value == id as f64));
        }
    }

    #[test]
    fn text_that_spans_share_weighs_as_often_as_it_is_sent() {
        let mut scratch = Scratch::default();
        let text = scratch.columns.texts.push(&"x".repeat(1_000));
        for _ in 0..9 {
            let labels = Labels {
                name: text,
                service: text,
                resource: text,
                r#type: text,
            };
            scratch.columns.meta.push((text, text));
            scratch.columns.metrics.push((text, 0.5));
            scratch.end_span(Fields {
                labels,
                ..Fields::default()
            });
        }
        let chunk = scratch.take();
        let bound = chunk.size().wire;
        assert!(chunk.wire_size() <= bound && bound < 70_000, "{bound}");
        assert!(chunk.size().memory < 5_000);
        assert_eq!(scratch.columns.repeated, 0);
    }

    #[test]
    fn a_name_that_is_the_resource_too_weighs_twice() {
        let mut chunk = Chunk::default();
        for id in 1..4 {
            let mut span = span(5, id, 0);
            let name = span.texts().push(&"x".repeat(1_000));
            span.set_name(name);
            chunk.push(span);
        }
        assert!(chunk.wire_size() <= chunk.size().wire);
    }

    #[test]
    fn chunks_without_spans_weigh_nothing_and_are_not_handed_on() {
        let mut chunks = TraceChunks::default();
        chunks.begin_chunk(0);
        chunks.begin_chunk(1);
        chunks.push(span(1, 1, 0));
        chunks.begin_chunk(0);
        assert_eq!(
            (chunks.len(), chunks.size().chunks, chunks.size().spans),
            (3, 1, 1)
        );
        assert_eq!(chunks.into_chunks().count(), 1);
    }
}
