//! How much spans weigh, in memory and on the wire.

use libdd_tinybytes::BytesString;
use libdd_trace_utils::span::v04::{
    AttributeAnyValueBytes, AttributeArrayValueBytes, SpanBytes, SpanEventBytes, SpanLinkBytes,
    VecMap,
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
        let mut size = Self {
            spans: 1,
            memory: size_of::<SpanBytes>()
                + entries(&span.meta)
                + entries(&span.metrics)
                + entries(&span.meta_struct),
            wire: WIRE_FIXED,
            ..Self::default()
        };
        for text in [&span.service, &span.name, &span.resource, &span.r#type] {
            size.wire += wire_text(text);
        }
        for (key, value) in span.meta.iter() {
            size.wire += wire_text(key) + wire_text(value);
        }
        for (key, _) in span.metrics.iter() {
            size.wire += wire_text(key) + WIRE_NUMBER;
        }
        for (key, value) in span.meta_struct.iter() {
            size.wire += wire_text(key) + WIRE_HEADER + value.len();
            size.memory += value.len();
        }
        span.span_links.iter().for_each(|link| size.add_link(link));
        span.span_events
            .iter()
            .for_each(|event| size.add_event(event));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events;
    use libdd_tinybytes::Bytes;
    use libdd_trace_utils::msgpack_encoder::v04::to_encoded_byte_len_from_v04;

    /// A span with something in every field, and text that JSON escapes.
    fn span(text: &str) -> SpanBytes {
        let text = || BytesString::from(text.to_owned());
        let mut span = SpanBytes {
            service: text(),
            name: text(),
            resource: text(),
            r#type: text(),
            trace_id: u128::MAX,
            span_id: u64::MAX,
            parent_id: u64::MAX,
            start: i64::MIN,
            duration: i64::MIN,
            error: i32::MIN,
            ..Default::default()
        };
        span.meta.insert(text(), text());
        span.metrics.insert(text(), 1.0);
        span.meta_struct
            .insert(text(), Bytes::copy_from_slice(&[1; 9]));
        span.span_links.push(SpanLinkBytes {
            trace_id: u64::MAX,
            trace_id_high: u64::MAX,
            span_id: u64::MAX,
            attributes: [(text(), text())].into(),
            tracestate: text(),
            flags: u32::MAX,
        });
        let values = || {
            vec![
                AttributeArrayValueBytes::String(text()),
                AttributeArrayValueBytes::Boolean(false),
                AttributeArrayValueBytes::Integer(i64::MIN),
                AttributeArrayValueBytes::Double(-2.225_073_858_507_201_4e-308),
            ]
        };
        let mut attributes = std::collections::HashMap::new();
        attributes.insert(text(), AttributeAnyValueBytes::Array(values()));
        for (i, value) in values().into_iter().enumerate() {
            let key = BytesString::from(format!("{i}"));
            attributes.insert(key, AttributeAnyValueBytes::SingleValue(value));
        }
        span.span_events.push(SpanEventBytes {
            time_unix_nano: u64::MAX,
            name: text(),
            attributes,
        });
        span
    }

    #[test]
    fn the_wire_size_is_an_upper_bound_in_either_form_of_events() {
        for text in ["", "x", "\u{1}\u{1}\u{1}\"\\", &"é".repeat(70_000)] {
            let mut span = span(text);
            let bound = Size::of_span(&span).wire;
            let typed = to_encoded_byte_len_from_v04(&[std::slice::from_ref(&span)]) as usize;
            events::into_meta(&mut span);
            let json = to_encoded_byte_len_from_v04(&[std::slice::from_ref(&span)]) as usize;
            assert!(typed <= bound && json <= bound, "{typed} {json} {bound}");
        }
    }
}
