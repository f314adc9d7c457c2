//! How much spans weigh, in memory and on the wire.

use crate::columns::{Extras, Fields};
use crate::text::Slice;
use libdd_tinybytes::{Bytes, BytesString};
use libdd_trace_utils::span::v04::{
    AttributeAnyValueBytes, AttributeArrayValueBytes, SpanEventBytes, SpanLinkBytes,
};
use std::ops::{AddAssign, SubAssign};

/// Upper bound of a v0.4 span with no text: the keys of all its fields, the longest form of each
/// number and header, and the two tags that sending may add (`_dd.p.tid` and
/// `_dd.sdk.otlp_export`).
const WIRE_FIXED: usize = 280;
/// The same for a link.
const WIRE_LINK: usize = 100;
/// The same for an event, as JSON or typed.
const WIRE_EVENT: usize = 60;
/// The same for each value of an event's attribute: `{"type": 0, "string_value": …}`.
const WIRE_EVENT_VALUE: usize = 40;
/// JSON writes a control character as six.
const JSON_ESCAPE: usize = 6;
/// The longest header of a string, binary, map or array.
const WIRE_HEADER: usize = 5;
const WIRE_NUMBER: usize = 9;
/// Name, service, resource and type.
const LABELS: usize = 4;

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
    /// More on the wire than any agent takes.
    pub const TOO_LARGE: usize = 1 << 40;

    /// Spans with so many tags and metrics, in memory without their text, which takes `text` bytes when it is
    /// sent.
    pub fn of_spans(spans: usize, meta: usize, metrics: usize, text: usize) -> Self {
        Self {
            spans,
            memory: spans * size_of::<Fields>()
                + meta * size_of::<(Slice, Slice)>()
                + metrics * size_of::<(Slice, f64)>(),
            wire: spans * (WIRE_FIXED + LABELS * WIRE_HEADER)
                + meta * 2 * WIRE_HEADER
                + metrics * (WIRE_HEADER + WIRE_NUMBER)
                + text,
            ..Self::default()
        }
    }

    /// What few spans have.
    pub fn of_extras(extras: &Extras) -> Self {
        let mut size = Self {
            memory: size_of::<Extras>(),
            ..Self::default()
        };
        for (key, value) in extras.meta_struct.iter() {
            size.wire += wire_text(key) + WIRE_HEADER + value.len();
            size.memory += key.as_str().len() + value.len() + size_of::<(BytesString, Bytes)>();
        }
        extras.links.iter().for_each(|link| size.add_link(link));
        extras.events.iter().for_each(|event| size.add_event(event));
        size
    }

    /// Links and events are rare, and their text has allocations of its own.
    fn add_link(&mut self, link: &SpanLinkBytes) {
        self.memory += size_of::<SpanLinkBytes>() + link.tracestate.as_str().len();
        self.wire += WIRE_LINK + wire_text(&link.tracestate);
        for (key, value) in &link.attributes {
            self.memory += size_of::<(BytesString, BytesString)>();
            self.memory += key.as_str().len() + value.as_str().len();
            self.wire += wire_text(key) + wire_text(value);
        }
    }

    fn add_event(&mut self, event: &SpanEventBytes) {
        self.memory += size_of::<SpanEventBytes>() + event.name.as_str().len();
        self.wire += WIRE_EVENT + JSON_ESCAPE * wire_text(&event.name);
        for (key, value) in &event.attributes {
            self.memory += size_of::<(BytesString, AttributeAnyValueBytes)>() + key.as_str().len();
            self.wire += JSON_ESCAPE * wire_text(key) + WIRE_EVENT_VALUE;
            let values = match value {
                AttributeAnyValueBytes::SingleValue(value) => std::slice::from_ref(value),
                AttributeAnyValueBytes::Array(values) => values,
            };
            for value in values {
                self.memory += size_of::<AttributeArrayValueBytes>();
                self.wire += WIRE_EVENT_VALUE;
                if let AttributeArrayValueBytes::String(text) = value {
                    self.memory += text.as_str().len();
                    self.wire += JSON_ESCAPE * wire_text(text);
                }
            }
        }
    }
}

fn wire_text(text: &BytesString) -> usize {
    WIRE_HEADER + text.as_str().len()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Block;
    use crate::columns::Numbers;
    use crate::span::SpanDraft;
    use libdd_trace_utils::msgpack_encoder::v04::to_encoded_byte_len_from_v04;
    use std::collections::HashMap;

    /// A span with something in every field, and text that JSON escapes.
    fn span(text: &str) -> SpanDraft {
        let owned = || BytesString::from(text.to_owned());
        let mut draft = SpanDraft::new(
            u128::MAX,
            Numbers {
                span_id: u64::MAX,
                parent_id: u64::MAX,
                start: i64::MIN,
                duration: i64::MIN,
                error: i32::MIN,
            },
        );
        let slice = draft.texts().push(text);
        draft.set_name(slice);
        for set in [
            SpanDraft::set_service,
            SpanDraft::set_resource,
            SpanDraft::set_type,
        ] {
            let slice = draft.texts().push(text);
            set(&mut draft, slice);
        }
        let (key, value) = (draft.texts().push(text), draft.texts().push(text));
        draft.set_meta(key, value);
        let key = draft.texts().push(text);
        draft.set_metric(key, 1.0);
        draft.set_meta_struct(owned(), vec![1; 9]);
        draft.add_link(SpanLinkBytes {
            trace_id: u64::MAX,
            trace_id_high: u64::MAX,
            span_id: u64::MAX,
            attributes: [(owned(), owned())].into(),
            tracestate: owned(),
            flags: u32::MAX,
        });
        let values = || {
            vec![
                AttributeArrayValueBytes::String(owned()),
                AttributeArrayValueBytes::Boolean(false),
                AttributeArrayValueBytes::Integer(i64::MIN),
                AttributeArrayValueBytes::Double(-2.225_073_858_507_201_4e-308),
            ]
        };
        let mut attributes = HashMap::new();
        attributes.insert(owned(), AttributeAnyValueBytes::Array(values()));
        for (i, value) in values().into_iter().enumerate() {
            let key = BytesString::from(format!("{i}"));
            attributes.insert(key, AttributeAnyValueBytes::SingleValue(value));
        }
        draft.add_event(SpanEventBytes {
            time_unix_nano: u64::MAX,
            name: owned(),
            attributes,
        });
        draft
    }

    #[test]
    fn the_wire_size_is_an_upper_bound_in_either_form_of_events() {
        for text in ["", "x", "\u{1}\u{1}\u{1}\"\\", &"é".repeat(70_000)] {
            let mut block = Block::default();
            block.begin_chunk(1);
            let bound = block.push(span(text)).wire;
            let [typed, json] = [true, false].map(|typed_events| {
                to_encoded_byte_len_from_v04(&[block.to_spans(0, typed_events)]) as usize
            });
            assert!(typed <= bound && json <= bound, "{typed} {json} {bound}");
        }
    }
}
