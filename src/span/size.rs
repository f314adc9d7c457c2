//! How much spans weigh, in memory and on the wire.

use super::{
    AttributeAnyValueBytes, AttributeArrayValueBytes, SpanBytes, SpanEventBytes, SpanLinkBytes,
};
use libdd_tinybytes::{Bytes, BytesString};
use std::ops::{AddAssign, SubAssign};

/// Upper bound of a v0.4 span with no text: the keys of all its fields, the longest form of each
/// number and header, and the tags that sending may add (`_dd.p.tid`,
/// `_dd.sdk.otlp_export` and, with statistics, `_top_level`).
const WIRE_FIXED: usize = 300;
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
/// Of the two small allocations behind a [`Bytes`] that shares no block, beside what it holds.
const OWN_BYTES: usize = 48;

/// What some spans weigh together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Size {
    pub chunks: usize,
    pub spans: usize,
    /// Bytes of memory.
    pub memory: usize,
    /// Upper bound of the bytes they take in a v0.4 payload.
    pub wire: usize,
    /// Values in them whose text was repaired, or that were made text.
    pub repaired: usize,
    /// Values that were left out of them.
    pub left_out: usize,
}

impl Size {
    /// Adds one span, whose text takes `text` bytes of memory.
    pub fn add_span(&mut self, span: &SpanBytes, text: usize) {
        self.spans += 1;
        self.memory += text + structure(span);
        self.wire += WIRE_FIXED + text_on_wire(span);
        span.span_links
            .iter()
            .for_each(|link| self.wire += wire_link(link));
        span.span_events
            .iter()
            .for_each(|event| self.wire += wire_event(event));
    }

    /// Returns what a chunk weighs, whose text takes `text` bytes of memory.
    pub fn of_chunk(spans: &Vec<SpanBytes>, text: usize) -> Self {
        let mut size = Self {
            chunks: usize::from(!spans.is_empty()),
            memory: (spans.capacity() - spans.len()) * size_of::<SpanBytes>(),
            ..Self::default()
        };
        for span in spans {
            size.add_span(span, 0);
        }
        size.memory += text;
        size
    }
}

/// Returns the bytes of memory that one span takes, with its text.
pub fn span_memory(span: &SpanBytes) -> usize {
    structure(span) + text_memory(span)
}

/// Returns the bytes of text in a span, as if all of it were its own.
pub fn text_memory(span: &SpanBytes) -> usize {
    let labels = [&span.name, &span.service, &span.resource, &span.r#type];
    let mut bytes = labels.into_iter().map(len).sum::<usize>();
    bytes += (span.meta.iter())
        .map(|(key, value)| len(key) + len(value))
        .sum::<usize>();
    bytes += span.metrics.iter().map(|(key, _)| len(key)).sum::<usize>();
    for link in &span.span_links {
        let attributes = link.attributes.iter();
        bytes += len(&link.tracestate);
        bytes += attributes
            .map(|(key, value)| len(key) + len(value))
            .sum::<usize>();
    }
    for event in &span.span_events {
        bytes += len(&event.name) + event.attributes.keys().map(len).sum::<usize>();
        let values = event.attributes.values().flat_map(event_values);
        bytes += values.map(value_len).sum::<usize>();
    }
    bytes
}

fn event_values(value: &AttributeAnyValueBytes) -> &[AttributeArrayValueBytes] {
    match value {
        AttributeAnyValueBytes::SingleValue(value) => std::slice::from_ref(value),
        AttributeAnyValueBytes::Array(values) => values,
    }
}

fn value_len(value: &AttributeArrayValueBytes) -> usize {
    match value {
        AttributeArrayValueBytes::String(text) => len(text),
        _ => 0,
    }
}

/// Returns the bytes of memory that a span takes, without the text that shares blocks.
fn structure(span: &SpanBytes) -> usize {
    let mut bytes = size_of::<SpanBytes>()
        + span.meta.capacity() * size_of::<(BytesString, BytesString)>()
        + span.metrics.capacity() * size_of::<(BytesString, f64)>();
    if span.meta_struct.capacity() > 0 {
        bytes += span.meta_struct.capacity() * size_of::<(BytesString, Bytes)>();
        let values = span.meta_struct.iter();
        bytes += values
            .map(|(_, value)| OWN_BYTES + value.len())
            .sum::<usize>();
    }
    bytes += span.span_links.capacity() * size_of::<SpanLinkBytes>();
    for link in &span.span_links {
        bytes += link.attributes.capacity() * size_of::<(BytesString, BytesString)>();
    }
    bytes += span.span_events.capacity() * size_of::<SpanEventBytes>();
    for event in &span.span_events {
        bytes += event.attributes.capacity() * size_of::<(BytesString, AttributeAnyValueBytes)>();
        for value in event.attributes.values() {
            if let AttributeAnyValueBytes::Array(values) = value {
                bytes += values.capacity() * size_of::<AttributeArrayValueBytes>();
            }
        }
    }
    bytes
}

/// Returns an upper bound of what the text of a span, its tags, metrics and structured tags take on the wire.
fn text_on_wire(span: &SpanBytes) -> usize {
    let labels = [&span.name, &span.service, &span.resource, &span.r#type];
    let labels = labels.iter().map(|label| wire_text(label));
    let tags = span.meta.iter();
    let tags = tags.map(|(key, value)| wire_text(key) + wire_text(value));
    let metrics = span.metrics.iter();
    let metrics = metrics.map(|(key, _)| wire_text(key) + WIRE_NUMBER);
    let structs = span.meta_struct.iter();
    let structs = structs.map(|(key, value)| wire_text(key) + WIRE_HEADER + value.len());
    labels.sum::<usize>() + tags.sum::<usize>() + metrics.sum::<usize>() + structs.sum::<usize>()
}

fn wire_link(link: &SpanLinkBytes) -> usize {
    let attributes = link.attributes.iter();
    let attributes = attributes.map(|(key, value)| wire_text(key) + wire_text(value));
    WIRE_LINK + wire_text(&link.tracestate) + attributes.sum::<usize>()
}

fn wire_event(event: &SpanEventBytes) -> usize {
    let mut bytes = WIRE_EVENT + JSON_ESCAPE * wire_text(&event.name);
    for (key, value) in &event.attributes {
        bytes += JSON_ESCAPE * wire_text(key) + WIRE_EVENT_VALUE;
        for value in event_values(value) {
            bytes += WIRE_EVENT_VALUE + JSON_ESCAPE * (WIRE_HEADER + value_len(value));
        }
    }
    bytes
}

fn len(text: &BytesString) -> usize {
    text.as_str().len()
}

fn wire_text(text: &BytesString) -> usize {
    WIRE_HEADER + len(text)
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
    use super::super::{encoded_len, prepare};
    use super::*;
    use std::collections::HashMap;

    /// A span with something in every field, and text that JSON escapes.
    fn span(text: &str) -> SpanBytes {
        let text = || BytesString::from(text.to_owned());
        let mut span = SpanBytes {
            name: text(),
            service: text(),
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
        span.meta_struct.insert(text(), vec![1; 9].into());
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
        let mut attributes = HashMap::new();
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
            for typed_events in [true, false] {
                let mut chunk = vec![span(text), span(text)];
                let bound = Size::of_chunk(&chunk, 0).wire + WIRE_HEADER;
                prepare(std::slice::from_mut(&mut chunk), typed_events);
                chunk[0]
                    .meta
                    .insert("_dd.sdk.otlp_export".into(), "false".into());
                for span in &mut chunk {
                    span.metrics.insert("_top_level".into(), 1.0);
                }
                let len = encoded_len(&chunk);
                assert!(len <= bound, "{len} {bound}");
            }
        }
    }

    #[test]
    fn memory_counts_the_room_that_is_kept_free() {
        let mut chunk = Vec::with_capacity(4);
        let mut tagged = SpanBytes {
            meta: VecMap::with_capacity(10),
            ..Default::default()
        };
        tagged.meta.insert("key".into(), "value".into());
        chunk.push(tagged);
        let size = Size::of_chunk(&chunk, 100);
        assert_eq!(size.memory, 4 * size_of::<SpanBytes>() + 10 * 64 + 100);
        assert_eq!((size.spans, size.chunks), (1, 1));
    }

    use super::super::VecMap;
}
