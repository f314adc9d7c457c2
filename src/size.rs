//! How much spans weigh, in memory and on the wire.

use libdd_tinybytes::BytesString;
use libdd_trace_utils::span::v04::{SpanBytes, VecMap};
use std::ops::{AddAssign, SubAssign};

/// Upper bound of a v0.4 span with no text: the keys of all its fields, the longest form of each
/// number and header, and the two tags that sending may add (`_dd.p.tid` and
/// `_dd.sdk.otlp_export`).
const WIRE_FIXED: usize = 280;
/// The longest header of a string, binary, map or array.
const WIRE_HEADER: usize = 5;
const WIRE_NUMBER: usize = 9;

/// What some spans weigh together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Size {
    pub chunks: usize,
    pub spans: usize,
    /// Bytes of memory.
    pub memory: usize,
    /// Upper bound of the bytes they take in a v0.4 payload.
    pub wire: usize,
    /// Values in them whose text was repaired.
    pub repaired: usize,
    /// Values that were left out of them.
    pub left_out: usize,
}

impl Size {
    /// One span without the blocks that hold its text, which several spans may share.
    pub fn of_span(span: &SpanBytes) -> Self {
        let fields = [&span.service, &span.name, &span.resource, &span.r#type];
        let wire = fields.into_iter().map(wire_text).sum::<usize>()
            + span
                .meta
                .iter()
                .map(|(k, v)| wire_text(k) + wire_text(v))
                .sum::<usize>()
            + span
                .metrics
                .iter()
                .map(|(k, _)| wire_text(k) + WIRE_NUMBER)
                .sum::<usize>();
        Self {
            spans: 1,
            memory: size_of::<SpanBytes>() + entries(&span.meta) + entries(&span.metrics),
            wire: WIRE_FIXED + wire,
            ..Self::default()
        }
    }
}

fn wire_text(text: &BytesString) -> usize {
    WIRE_HEADER + text.as_str().len()
}

fn entries<V>(map: &VecMap<BytesString, V>) -> usize {
    map.capacity() * size_of::<(BytesString, V)>()
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
