//! Spans as they wait: numbers, and where their text stands.
//!
//! The library's spans take 32 bytes a string besides its text, and two allocations and more a
//! span. What waits in the queue takes about as much memory as it will on the wire, in a few
//! allocations for several traces; the library's spans are made of it at the moment of sending, and
//! borrow its text.

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

    /// What has been put in so far.
    pub fn mark(&self) -> Mark {
        Mark {
            text: self.texts.len(),
            meta: self.meta.len(),
            metrics: self.metrics.len(),
            extras: self.extras.len(),
            repaired: self.repaired,
            left_out: self.left_out,
        }
    }

    /// Bytes that all takes that was put in since.
    pub fn memory_since(&self, mark: Mark) -> usize {
        let extras = self.extras[mark.extras..].iter();
        self.texts.len() - mark.text
            + (self.meta.len() - mark.meta) * size_of::<(Slice, Slice)>()
            + (self.metrics.len() - mark.metrics) * size_of::<(Slice, f64)>()
            + extras
                .map(|extras| Size::of_extras(extras).memory)
                .sum::<usize>()
    }

    /// Takes out what was put in since.
    pub fn rewind(&mut self, mark: Mark) {
        self.texts.truncate(mark.text);
        self.meta.truncate(mark.meta);
        self.metrics.truncate(mark.metrics);
        self.extras.truncate(mark.extras);
        self.repaired = mark.repaired;
        self.left_out = mark.left_out;
    }

    /// Moves in all that stands in another, and `spans`, whose it is, with it.
    pub fn append(&mut self, other: &mut Self, spans: &mut [Fields]) {
        let mark = self.mark();
        let moved = self.texts.append(&other.texts);
        let meta = other.meta.iter();
        self.meta
            .extend(meta.map(|&(key, value)| (moved.moved(key), moved.moved(value))));
        let metrics = other.metrics.iter();
        self.metrics
            .extend(metrics.map(|&(key, value)| (moved.moved(key), value)));
        self.extras.append(&mut other.extras);
        self.repaired += other.repaired;
        self.left_out += other.left_out;
        for span in spans {
            let labels = &mut span.labels;
            for label in [
                &mut labels.name,
                &mut labels.service,
                &mut labels.resource,
                &mut labels.r#type,
            ] {
                *label = moved.moved(*label);
            }
            span.meta_end += mark.meta as u32;
            span.metrics_end += mark.metrics as u32;
            if span.extras > 0 {
                span.extras += mark.extras as u32;
            }
        }
    }

    pub fn clear(&mut self) {
        self.texts.clear();
        self.rewind(Mark::default());
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

    /// What `spans` weigh, which are all that came after `mark`.
    pub fn size_since(&mut self, mark: Mark, spans: &[Fields]) -> Size {
        let (meta, metrics) = (&self.meta[mark.meta..], &self.metrics[mark.metrics..]);
        let labels = spans.iter().map(|span| span.labels.length());
        let tags = meta.iter();
        let tags = tags.map(|(key, value)| key.length() + value.length());
        let keys = metrics.iter().map(|(key, _)| key.length());
        let text = labels.sum::<usize>() + tags.sum::<usize>() + keys.sum::<usize>();
        let mut size = Size::of_spans(spans.len(), meta.len(), metrics.len(), text);
        size.memory += self.texts.len() - mark.text;
        size.repaired = self.repaired - mark.repaired;
        size.left_out = self.left_out - mark.left_out;
        for extras in &self.extras[mark.extras..] {
            size += Size::of_extras(extras);
        }
        if self.texts.take_overflowed() {
            size.wire = Size::TOO_LARGE;
        }
        size
    }

    /// Empty ones with room for about as much.
    pub fn with_equal_room(&self) -> Self {
        let mut columns = Self {
            meta: Vec::with_capacity(about(self.meta.len())),
            metrics: Vec::with_capacity(about(self.metrics.len())),
            ..Self::default()
        };
        columns.texts.reserve(about(self.texts.len()));
        columns
    }

    /// Bytes that it keeps free.
    pub fn spare(&self) -> usize {
        self.texts.capacity() - self.texts.len()
            + (self.meta.capacity() - self.meta.len()) * size_of::<(Slice, Slice)>()
            + (self.metrics.capacity() - self.metrics.len()) * size_of::<(Slice, f64)>()
            + (self.extras.capacity() - self.extras.len()) * size_of::<Extras>()
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

/// How much has been put into [`Columns`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Mark {
    text: usize,
    meta: usize,
    metrics: usize,
    extras: usize,
    repaired: usize,
    left_out: usize,
}

/// As many, or a few more.
pub fn about(many: usize) -> usize {
    many + many / 8
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
