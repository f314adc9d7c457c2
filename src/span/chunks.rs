//! Trace chunks on their way from the tracer to the queue.

use super::size::text_memory;
use super::{Size, SpanBytes, pool};
use std::mem::take;

/// Spans of one trace that are sent, or dropped, together.
#[derive(Debug, Default)]
pub struct Chunk {
    pub spans: Vec<SpanBytes>,
    pub size: Size,
}

/// A list of chunks that is filled by one owner and then handed over whole.
#[derive(Debug, Default)]
pub struct TraceChunks {
    chunks: Vec<Vec<SpanBytes>>,
    /// One for each chunk.
    sizes: Vec<Size>,
    size: Size,
    refused: Refused,
    left_out: LeftOut,
}

/// Spans that could not be made part of a chunk.
#[derive(Debug, Default)]
pub struct Refused {
    pub spans: usize,
    /// Says what was wrong with the latest.
    pub problem: String,
}

/// Says what was wrong with the first value that was left out of a list of chunks.
pub type LeftOut = Option<String>;

impl TraceChunks {
    /// Makes room for more chunks.
    pub fn reserve(&mut self, chunks: usize) {
        self.chunks.reserve(chunks);
        self.sizes.reserve(chunks);
    }

    /// Adds a chunk.
    pub fn push(&mut self, chunk: Chunk) {
        self.size += chunk.size;
        self.chunks.push(chunk.spans);
        self.sizes.push(chunk.size);
    }

    /// Begins a chunk that [`TraceChunks::push_span`] adds spans to, with room for some.
    pub fn begin_chunk(&mut self, capacity: usize) {
        let mut spans = pool().pull_empty_chunk();
        spans.reserve(capacity);
        self.chunks.push(spans);
        self.sizes.push(Size::default());
    }

    /// Adds a span to the last chunk, or to a new one when there is none. `repaired` and `left_out` count its values that
    /// were not taken as they were.
    pub fn push_span(&mut self, span: SpanBytes, repaired: usize, left_out: usize) {
        if self.chunks.is_empty() {
            self.begin_chunk(1);
        }
        let Some((spans, size)) = self.chunks.last_mut().zip(self.sizes.last_mut()) else {
            return;
        };
        self.size -= *size;
        size.add_span(&span, text_memory(&span));
        size.chunks = 1;
        size.repaired += repaired;
        size.left_out += left_out;
        self.size += *size;
        spans.push(span);
    }

    /// Returns the trace that the last chunk belongs to, once it has a span.
    pub fn trace_id(&self) -> Option<u128> {
        Some(self.chunks.last()?.first()?.trace_id)
    }

    /// Notes spans that could not be made part of a chunk. They are counted as lost when the chunks are handed over.
    pub fn refuse(&mut self, spans: usize, problem: String) {
        self.refused.spans += spans;
        self.refused.problem = problem;
    }

    pub fn refused(&self) -> &Refused {
        &self.refused
    }

    /// Notes what was wrong with a value that was left out, if it is the first.
    pub fn note_left_out(&mut self, problem: LeftOut) {
        if self.left_out.is_none() {
            self.left_out = problem;
        }
    }

    pub fn left_out(&self) -> &LeftOut {
        &self.left_out
    }

    /// Returns the number of chunks begun, those without spans included.
    pub fn len(&self) -> usize {
        self.chunks.len()
    }

    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Returns what the chunks weigh; those without spans count for nothing.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Returns each chunk that has spans.
    pub fn into_chunks(mut self) -> impl Iterator<Item = Chunk> {
        let (chunks, sizes) = (take(&mut self.chunks), take(&mut self.sizes));
        let chunks = chunks.into_iter().zip(sizes);
        chunks
            .filter(|(spans, _)| !spans.is_empty())
            .map(|(spans, size)| Chunk { spans, size })
    }
}

impl Drop for TraceChunks {
    /// Has the spans used again that nobody has taken over.
    fn drop(&mut self) {
        if !self.chunks.is_empty() {
            pool().add_chunks(self.chunks.drain(..));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(trace_id: u128) -> SpanBytes {
        SpanBytes {
            trace_id,
            ..Default::default()
        }
    }

    #[test]
    fn chunks_without_spans_weigh_nothing_and_are_not_handed_on() {
        let mut chunks = TraceChunks::default();
        chunks.begin_chunk(1);
        chunks.begin_chunk(1);
        chunks.push_span(span(1), 0, 0);
        chunks.begin_chunk(1);
        let size = chunks.size();
        assert_eq!((chunks.len(), size.chunks, size.spans), (3, 1, 1));
        assert_eq!(chunks.into_chunks().count(), 1);
    }

    #[test]
    fn the_list_weighs_as_much_as_its_chunks() {
        let mut chunks = TraceChunks::default();
        for id in 1..=3 {
            chunks.begin_chunk(0);
            for _ in 0..id {
                chunks.push_span(span(id), 1, 2);
            }
            assert_eq!(chunks.trace_id(), Some(id));
        }
        let size = chunks.size();
        assert_eq!((size.chunks, size.spans), (3, 6));
        assert_eq!((size.repaired, size.left_out), (6, 12));
        let mut sum = Size::default();
        chunks.into_chunks().for_each(|chunk| sum += chunk.size);
        assert_eq!(sum, size);
    }

    #[test]
    fn the_first_problem_is_kept() {
        let mut chunks = TraceChunks::default();
        for problem in [None, Some("first".to_owned()), Some("second".to_owned())] {
            chunks.note_left_out(problem);
        }
        assert_eq!(chunks.left_out().as_deref(), Some("first"));
    }
}
