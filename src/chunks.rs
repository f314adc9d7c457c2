//! Trace chunks on their way from the tracer to the queue.

use crate::block::Block;
use crate::size::Size;
use crate::span::SpanDraft;
use libdd_trace_utils::span::v04::SpanSlice;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// About as many chunks fill a block.
const CHUNKS_OF_BLOCK: usize = 8;

/// A list of chunks that is filled by one owner and then handed over whole.
///
/// Chunks are put into a block that is open, until it is full or the list is handed over.
#[derive(Debug, Default)]
pub struct TraceChunks {
    closed: VecDeque<Share>,
    open: Block,
    size: Size,
    /// Number of chunks, those without spans included.
    len: usize,
    refused: Refused,
}

/// Some chunks of a block.
#[derive(Debug)]
pub struct Share {
    block: Arc<Block>,
    chunks: Range<usize>,
}

/// Spans that could not be made part of a chunk.
#[derive(Debug, Default)]
pub struct Refused {
    pub spans: usize,
    /// What was wrong with the latest.
    pub problem: String,
}

impl TraceChunks {
    /// Makes room for more chunks.
    pub fn reserve(&mut self, chunks: usize) {
        self.closed.reserve(chunks / CHUNKS_OF_BLOCK);
    }

    /// Has a list that is new put its chunks into memory that was used before.
    pub fn lend(&mut self, block: Block) {
        self.open = block;
    }

    /// The block that the next chunk is put into, and its number in this list.
    pub fn open(&mut self) -> (&mut Block, usize) {
        if self.open.is_full() {
            self.open_another();
        }
        (&mut self.open, self.closed.len())
    }

    /// Has the next chunk put into a block that has none yet.
    pub fn open_another(&mut self) {
        self.open = self.close();
    }

    /// Makes a chunk of what was lowered into the block.
    pub fn end_chunk(&mut self) {
        self.size += self.open.end_chunk();
        self.len += 1;
    }

    /// Starts a new chunk, into which [`TraceChunks::push`] puts spans from then on, with room for some.
    pub fn begin_chunk(&mut self, capacity: usize) {
        // It may become large.
        self.open_another();
        self.open.begin_chunk(capacity);
        self.len += 1;
    }

    /// The trace that the last chunk belongs to, once it has a span.
    pub fn trace_id(&self) -> Option<u128> {
        match self.closed.back() {
            Some(last) if self.open.is_empty() => last.block.trace_id(),
            _ => self.open.trace_id(),
        }
    }

    /// Adds a span to the last chunk, or to a new one when there is none.
    pub fn push(&mut self, span: SpanDraft) {
        if self.is_empty() {
            self.begin_chunk(1);
        }
        let last = match self.closed.back_mut() {
            Some(last) if self.open.is_empty() => Arc::get_mut(&mut last.block),
            _ => None,
        };
        self.size += last.unwrap_or(&mut self.open).push(span);
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
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What the chunks weigh; those without spans count for nothing.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Closes the block that is open, before the list is handed over. Returns its memory.
    pub fn close(&mut self) -> Block {
        if !self.open.is_empty() {
            let (block, spare) = self.open.take();
            self.size.memory += spare;
            self.closed.push_back(Share {
                chunks: 0..block.len(),
                block: Arc::new(block),
            });
        }
        std::mem::take(&mut self.open)
    }

    /// What the first chunk weighs.
    pub fn first_size(&self) -> Option<Size> {
        self.closed.front().map(Share::first_size)
    }

    /// Takes the first chunk out.
    pub fn pop_front(&mut self) -> Option<Share> {
        let rest = self.closed.front_mut()?;
        let first = rest.take_first();
        if rest.chunks.is_empty() {
            self.closed.pop_front();
        }
        self.size -= first.first_size();
        self.len -= 1;
        Some(first)
    }

    /// Puts in chunks of another list.
    pub fn push_share(&mut self, share: Share) {
        self.len += share.chunks.len();
        self.size += share.size();
        match self.closed.back_mut() {
            Some(last) if last.is_followed_by(&share) => last.chunks.end = share.chunks.end,
            _ => self.closed.push_back(share),
        }
    }

    /// The spans of each chunk as they are sent, with events as such or as JSON in a tag.
    pub fn to_spans(&self, typed_events: bool) -> impl Iterator<Item = Vec<SpanSlice<'_>>> {
        let shares = self.closed.iter();
        shares.flat_map(move |share| share.to_spans(typed_events))
    }

    /// Each chunk that has spans.
    pub fn into_chunks(mut self) -> impl Iterator<Item = Share> {
        std::iter::from_fn(move || self.pop_front()).filter(|chunk| chunk.first_size().spans > 0)
    }
}

impl Share {
    /// What the first chunk weighs.
    pub fn first_size(&self) -> Size {
        self.block.size(self.chunks.start)
    }

    /// Bytes that the first chunk takes in a v0.4 payload, at the most. Encodes it to count them.
    pub fn first_wire_size(&self) -> usize {
        self.block.wire_size(self.chunks.start)
    }

    fn to_spans(&self, typed_events: bool) -> impl Iterator<Item = Vec<SpanSlice<'_>>> {
        let chunks = self.chunks.clone();
        chunks.map(move |chunk| self.block.to_spans(chunk, typed_events))
    }

    fn size(&self) -> Size {
        let mut size = Size::default();
        for chunk in self.chunks.clone() {
            size += self.block.size(chunk);
        }
        size
    }

    fn take_first(&mut self) -> Self {
        let first = self.chunks.start;
        self.chunks.start += 1;
        Self {
            block: Arc::clone(&self.block),
            chunks: first..first + 1,
        }
    }

    fn is_followed_by(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.block, &other.block) && self.chunks.end == other.chunks.start
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::Numbers;

    fn span(trace_id: u128) -> SpanDraft {
        SpanDraft::new(trace_id, Numbers::default())
    }

    fn ids(chunks: TraceChunks) -> Vec<u128> {
        let mut all = TraceChunks::default();
        chunks.into_chunks().for_each(|chunk| all.push_share(chunk));
        let spans = all.to_spans(true).flatten();
        spans.map(|span| span.trace_id).collect()
    }

    #[test]
    fn chunks_without_spans_weigh_nothing_and_are_not_handed_on() {
        let mut chunks = TraceChunks::default();
        chunks.begin_chunk(1);
        chunks.begin_chunk(1);
        chunks.push(span(1));
        chunks.begin_chunk(1);
        assert_eq!(
            (chunks.len(), chunks.size().chunks, chunks.size().spans),
            (3, 1, 1)
        );
        chunks.close();
        assert_eq!(ids(chunks), [1]);
    }

    #[test]
    fn a_span_joins_the_last_chunk_wherever_that_is() {
        let mut chunks = TraceChunks::default();
        chunks.begin_chunk(1);
        chunks.push(span(7));
        chunks.open_another();
        assert_eq!(chunks.open().1, 1);
        assert_eq!(chunks.trace_id(), Some(7));
        chunks.push(span(7));
        chunks.close();
        assert_eq!((chunks.len(), chunks.size().spans), (1, 2));
        assert_eq!(ids(chunks), [7, 7]);
    }

    #[test]
    fn chunks_keep_their_order_in_however_many_blocks() {
        let mut chunks = TraceChunks::default();
        for id in 1..=1_000 {
            chunks.begin_chunk(1);
            let mut span = span(id);
            let text = span.texts().push(&"x".repeat(100));
            span.set_service(text);
            chunks.push(span);
        }
        assert!(chunks.closed.len() > 5);
        chunks.close();
        let all = chunks.size();
        let mut taken = TraceChunks::default();
        for _ in 0..300 {
            taken.push_share(chunks.pop_front().unwrap());
        }
        assert_eq!((taken.len(), chunks.len()), (300, 700));
        let mut sum = taken.size();
        sum += chunks.size();
        assert_eq!(sum, all);
        assert!(ids(taken).into_iter().eq(1..=300));
        assert!(ids(chunks).into_iter().eq(301..=1_000));
    }
}
