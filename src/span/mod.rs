//! Stand-in with the interface of the real module.

pub use libdd_trace_utils::span::v04::SpanBytes;

use crate::process::ProcessLocal;
use libdd_trace_utils::msgpack_encoder::v04::to_encoded_byte_len_from_v04;
use libdd_trace_utils::span::BytesData;
use libdd_trace_utils::span::span_pool::SpanPool;
use std::convert::Infallible;
use std::ops::{AddAssign, SubAssign};

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Size {
    pub chunks: usize,
    pub spans: usize,
    pub memory: usize,
    pub wire: usize,
    pub repaired: usize,
    pub left_out: usize,
}

impl Size {
    pub const TOO_LARGE: usize = 1 << 40;
}

impl AddAssign for Size {
    fn add_assign(&mut self, other: Self) {
        self.chunks += other.chunks;
        self.spans += other.spans;
        self.memory += other.memory;
        self.wire += other.wire;
        self.repaired += other.repaired;
        self.left_out += other.left_out;
    }
}

impl SubAssign for Size {
    fn sub_assign(&mut self, other: Self) {
        self.chunks -= other.chunks;
        self.spans -= other.spans;
        self.memory -= other.memory;
        self.wire -= other.wire;
        self.repaired -= other.repaired;
        self.left_out -= other.left_out;
    }
}

#[derive(Debug, Default)]
pub struct Chunk {
    pub spans: Vec<SpanBytes>,
    pub size: Size,
}

#[derive(Debug, Default)]
pub struct Refused {
    pub spans: usize,
    pub problem: String,
}

#[derive(Debug, Default)]
pub struct TraceChunks {
    chunks: Vec<Chunk>,
    size: Size,
    refused: Refused,
}

impl TraceChunks {
    pub fn len(&self) -> usize {
        self.chunks.len()
    }

    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub fn size(&self) -> Size {
        self.size
    }

    pub fn refused(&self) -> &Refused {
        &self.refused
    }

    pub fn push(&mut self, chunk: Chunk) {
        if !chunk.spans.is_empty() {
            self.size += chunk.size;
        }
        self.chunks.push(chunk);
    }

    pub fn into_chunks(self) -> impl Iterator<Item = Chunk> {
        let chunks = self.chunks.into_iter();
        chunks.filter(|chunk| !chunk.spans.is_empty())
    }
}

pub fn prepare(chunk: &mut [SpanBytes], typed_events: bool) {
    if !typed_events {
        chunk
            .iter_mut()
            .for_each(|span| span.span_events = Vec::new());
    }
}

pub fn encoded_len(chunk: &[SpanBytes]) -> usize {
    to_encoded_byte_len_from_v04(&[chunk]) as usize
}

pub fn pool() -> &'static SpanPool<BytesData> {
    static POOL: ProcessLocal<SpanPool<BytesData>> = ProcessLocal::new();
    let Ok(pool) = POOL.get_or_try_init(|| Ok::<_, Infallible>(SpanPool::with_capacity(1_000)));
    pool
}
