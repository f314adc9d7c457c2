//! Spans as they wait: numbers, and where their text stands.
//!
//! The library's spans take 32 bytes a string besides its text, and two allocations and more a
//! span. What waits in the queue takes about as much memory as it will on the wire, in four
//! allocations a trace; the library's spans are made of it at the moment of sending, and borrow
//! its text.

use crate::events;
use crate::size::Size;
use crate::text::{Slice, Texts};
use libdd_tinybytes::{Bytes, BytesString};
use libdd_trace_utils::span::SliceData;
use libdd_trace_utils::span::v04::{
    AttributeAnyValue, AttributeAnyValueBytes, AttributeArrayValue, AttributeArrayValueBytes,
    SpanEventBytes, SpanEventSlice, SpanLinkBytes, SpanLinkSlice, SpanSlice, VecMap,
};
use std::borrow::Cow;
use std::collections::HashSet;

/// The fields of a span that are numbers, but for the trace's id, which its spans share.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Numbers {
    pub span_id: u64,
    /// 0 for none.
    pub parent_id: u64,
    /// Nanoseconds since the epoch.
    pub start: i64,
    /// Nanoseconds.
    pub duration: i64,
    pub error: i32,
}

/// The fields of a span that are text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Labels {
    pub name: Slice,
    pub service: Slice,
    pub resource: Slice,
    pub r#type: Slice,
}

impl Labels {
    fn length(&self) -> usize {
        let Self {
            name,
            service,
            resource,
            r#type,
        } = self;
        [name, service, resource, r#type]
            .map(|label| label.length())
            .iter()
            .sum()
    }
}

/// What few spans have.
#[derive(Debug, Default)]
pub struct Extras {
    /// Encoded as MessagePack.
    pub meta_struct: VecMap<BytesString, Bytes>,
    pub links: Vec<SpanLinkBytes>,
    pub events: Vec<SpanEventBytes>,
}

impl Extras {
    /// Sets a structured value, encoded as MessagePack, in place of one with the same key.
    pub fn set_meta_struct(&mut self, key: BytesString, value: Vec<u8>) {
        let value = Bytes::from_underlying(value);
        match self.meta_struct.get_mut(key.as_str()) {
            Some(old) => *old = value,
            None => self.meta_struct.insert(key, value),
        }
        self.meta_struct.mark_deduped();
    }
}

/// One span. Its tags and metrics stand in [`Columns`] up to `meta_end` and `metrics_end`, from where
/// those of the span before it end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fields {
    pub numbers: Numbers,
    pub labels: Labels,
    pub meta_end: u32,
    pub metrics_end: u32,
    /// Number of its extras in [`Columns`], counted from 1; 0 for none.
    pub extras: u32,
}

/// What spans have any number of, for some of them together.
#[derive(Debug, Default)]
pub struct Columns {
    pub texts: Texts,
    pub meta: Vec<(Slice, Slice)>,
    pub metrics: Vec<(Slice, f64)>,
    pub extras: Vec<Extras>,
    /// Bytes by which the text that is sent exceeds the text that stands here, since strings may share
    /// one place.
    pub repeated: usize,
    /// Values whose text had broken bytes, which were replaced, or that were made text.
    pub repaired: usize,
    /// Values that can't be sent and were left out.
    pub left_out: usize,
}

impl Columns {
    /// Keeps of all tags from `start` on that share a key the last one.
    pub fn dedup_meta(&mut self, start: usize) {
        dedup(&self.texts, &mut self.meta, start);
    }

    /// As [`Columns::dedup_meta`], for metrics.
    pub fn dedup_metrics(&mut self, start: usize) {
        dedup(&self.texts, &mut self.metrics, start);
    }

    /// Counts the text that is sent for `spans`, which are all that stand here.
    pub fn count_repeated(&mut self, spans: &[Fields]) {
        let labels = spans.iter().map(|span| span.labels.length());
        let meta = self
            .meta
            .iter()
            .map(|(key, value)| key.length() + value.length());
        let metrics = self.metrics.iter().map(|(key, _)| key.length());
        let sent = labels.sum::<usize>() + meta.sum::<usize>() + metrics.sum::<usize>();
        self.repeated = sent.saturating_sub(self.texts.len());
    }

    pub fn clear(&mut self) {
        self.texts.clear();
        self.meta.clear();
        self.metrics.clear();
        self.extras.clear();
        self.repeated = 0;
        self.repaired = 0;
        self.left_out = 0;
    }

    /// A copy without spare room, into which extras are moved.
    pub fn take_exact(&mut self) -> Self {
        self.extras.shrink_to_fit();
        Self {
            texts: self.texts.to_exact(),
            meta: self.meta.as_slice().to_vec(),
            metrics: self.metrics.as_slice().to_vec(),
            extras: std::mem::take(&mut self.extras),
            ..*self
        }
    }

    /// Puts in the extras of a span.
    pub fn push_extras(&mut self, span: &mut Fields, extras: Extras) {
        self.extras.push(extras);
        span.extras = self.extras.len() as u32;
    }

    pub fn extras(&self, span: &Fields) -> Option<&Extras> {
        self.extras.get((span.extras as usize).checked_sub(1)?)
    }

    /// What so many spans weigh, which are all that stand here, with `extras`.
    pub fn size(&self, spans: usize, extras: Size) -> Size {
        let mut size = extras;
        size += Size::of_columns(self);
        size += Size::of_fields(spans);
        if self.texts.overflowed() {
            // No agent takes it.
            size.wire = usize::MAX / 2;
        }
        size
    }

    /// The span whose tags and metrics stand from `meta` and `metrics` on, as it is sent, with room for some more
    /// tags.
    pub fn span<'a>(
        &'a self,
        trace_id: u128,
        span: &'a Fields,
        (meta, metrics): (u32, u32),
        more: usize,
        typed_events: bool,
    ) -> SpanSlice<'a> {
        let text = |slice| Cow::Borrowed(self.texts.get(slice));
        let tags = &self.meta[meta as usize..span.meta_end as usize];
        let mut meta = Vec::with_capacity(tags.len() + more);
        meta.extend(tags.iter().map(|&(key, value)| (text(key), text(value))));
        let tags = &self.metrics[metrics as usize..span.metrics_end as usize];
        let metrics: Vec<_> = tags
            .iter()
            .map(|&(key, value)| (text(key), value))
            .collect();
        let (mut meta, mut metrics) = (VecMap::from(meta), VecMap::from(metrics));
        // No two share a key. The library would build a hash table of each map to find out.
        meta.mark_deduped();
        metrics.mark_deduped();
        let mut slice = SpanSlice {
            service: text(span.labels.service),
            name: text(span.labels.name),
            resource: text(span.labels.resource),
            r#type: text(span.labels.r#type),
            trace_id,
            span_id: span.numbers.span_id,
            parent_id: span.numbers.parent_id,
            start: span.numbers.start,
            duration: span.numbers.duration,
            error: span.numbers.error,
            meta,
            metrics,
            ..Default::default()
        };
        if let Some(extras) = self.extras(span) {
            for (key, value) in extras.meta_struct.iter() {
                slice.meta_struct.insert(borrowed(key), value.as_ref());
            }
            slice.meta_struct.mark_deduped();
            slice.span_links = extras.links.iter().map(link).collect();
            if typed_events {
                slice.span_events = extras.events.iter().map(event).collect();
            } else if let Some(json) = events::json(&extras.events) {
                put(&mut slice.meta, events::TAG, json.into());
            }
        }
        slice
    }
}

/// Sets a tag in place of one with the same key.
pub fn put<'a>(
    meta: &mut VecMap<Cow<'a, str>, Cow<'a, str>>,
    key: &'static str,
    value: Cow<'a, str>,
) {
    match meta.get_mut(key) {
        Some(tag) => *tag = value,
        None => meta.insert(key.into(), value),
    }
    meta.mark_deduped();
}

fn dedup<V>(texts: &Texts, entries: &mut Vec<(Slice, V)>, start: usize) {
    let all = entries.split_off(start);
    let mut seen = HashSet::with_capacity(all.len());
    for entry in all.into_iter().rev() {
        if seen.insert(texts.get(entry.0)) {
            entries.push(entry);
        }
    }
    entries[start..].reverse();
}

fn borrowed(text: &BytesString) -> Cow<'_, str> {
    Cow::Borrowed(text.as_str())
}

fn link(link: &SpanLinkBytes) -> SpanLinkSlice<'_> {
    let attributes = link.attributes.iter();
    SpanLinkSlice {
        trace_id: link.trace_id,
        trace_id_high: link.trace_id_high,
        span_id: link.span_id,
        attributes: attributes
            .map(|(key, value)| (borrowed(key), borrowed(value)))
            .collect(),
        tracestate: borrowed(&link.tracestate),
        flags: link.flags,
    }
}

fn event(event: &SpanEventBytes) -> SpanEventSlice<'_> {
    let attributes = event.attributes.iter().map(|(key, value)| {
        let value = match value {
            AttributeAnyValueBytes::SingleValue(value) => {
                AttributeAnyValue::SingleValue(scalar(value))
            }
            AttributeAnyValueBytes::Array(values) => {
                AttributeAnyValue::Array(values.iter().map(scalar).collect())
            }
        };
        (borrowed(key), value)
    });
    SpanEventSlice {
        time_unix_nano: event.time_unix_nano,
        name: borrowed(&event.name),
        attributes: attributes.collect(),
    }
}

fn scalar(value: &AttributeArrayValueBytes) -> AttributeArrayValue<SliceData<'_>> {
    match value {
        AttributeArrayValueBytes::String(text) => AttributeArrayValue::String(borrowed(text)),
        AttributeArrayValueBytes::Boolean(boolean) => AttributeArrayValue::Boolean(*boolean),
        AttributeArrayValueBytes::Integer(integer) => AttributeArrayValue::Integer(*integer),
        AttributeArrayValueBytes::Double(double) => AttributeArrayValue::Double(*double),
    }
}
