//! Reading spans ahead. They were made over the time of a request, by code that has used much other memory since, and
//! waiting for their parts takes longer than lowering them.

use super::tracer_span::{Readers, TracerSpan};
use crate::ruby::private::{
    self, CAN_PREFETCH, Entries, prefetch, prefetch_address, prefetch_data, prefetch_range,
    prefetch_text,
};
use crate::ruby::values_from;
use magnus::{RArray, RHash, RObject, Value};
use pipeline::span::SpanBytes;
use std::ops::Range;

/// Number of spans that are read together: while one part of them is waited for, so are those of the others.
const BATCH: usize = 10;

/// Spans that were read, but not what their values hold.
#[derive(Default)]
pub struct Batch {
    objects: [Option<Value>; BATCH],
    /// Of each object, unless it isn't a plain one.
    spans: [Option<TracerSpan>; BATCH],
}

impl Batch {
    /// Reads the next spans of an Array, as many as there are of one batch, and prefetches them level by level: the
    /// objects, then their variables, then the values, and then what the values hold. Each level reads what the one
    /// before has prefetched. So is the room that they are lowered into, which the sender's core has used last.
    #[inline]
    pub fn read(&mut self, spans: RArray, index: usize, readers: &mut Readers, room: &[SpanBytes]) {
        self.objects = values_from(spans, index);
        let objects = || self.objects.iter().flatten();
        let is_prefetching = CAN_PREFETCH && private::in_use();
        let room = &room[..room.len().min(BATCH)];
        if is_prefetching {
            objects().for_each(|span| prefetch(*span));
            prefetch_range(addresses(room.as_ptr(), room.len()));
            let layout = readers.span.layout();
            for span in objects() {
                if let Some(slots) = RObject::from_value(*span).and_then(|span| layout.slots(span))
                {
                    prefetch_range(slots.addresses());
                }
            }
        }
        for (span, object) in self.spans.iter_mut().zip(objects()) {
            *span = readers.span.read(*object).map(TracerSpan::from);
        }
        if is_prefetching {
            self.prefetch_values();
            for span in room {
                let (meta, metrics) = (span.meta.iter(), span.metrics.iter());
                prefetch_range(addresses(meta.as_slice().as_ptr(), span.meta.capacity()));
                prefetch_range(addresses(
                    metrics.as_slice().as_ptr(),
                    span.metrics.capacity(),
                ));
            }
        }
    }

    /// Returns each object, and what was read of it.
    pub fn spans(&self) -> impl Iterator<Item = (Value, Option<&TracerSpan>)> {
        let objects = self.objects.iter().copied().flatten();
        objects.zip(self.spans.iter().map(Option::as_ref))
    }

    fn prefetch_values(&self) {
        let spans = || self.spans().filter_map(|(_, span)| span);
        for span in spans() {
            // Those that spans don't share.
            prefetch(span.resource);
            prefetch(span.meta);
            prefetch(span.metrics);
            prefetch(span.metastruct);
            prefetch(span.start_time);
            prefetch(span.links);
            prefetch(span.events);
        }
        for span in spans() {
            prefetch_text(span.resource);
            prefetch_data(span.start_time);
            hashes(span).for_each(|hash| prefetch_address(Entries::table_address(hash)));
        }
        let mut tags = [None; BATCH];
        for (span, tags) in spans().zip(&mut tags) {
            let [meta, metrics] = [span.meta, span.metrics]
                .map(|hash| Entries::of(RHash::from_value(hash)?).filter(Entries::are_few));
            // The values of metrics are mostly no objects.
            *tags = meta;
            let entries = meta.into_iter().chain(metrics);
            entries.for_each(|entries| prefetch_range(entries.addresses()));
        }
        let tags = || tags.iter().flatten();
        tags().for_each(|entries| entries.prefetch_values());
    }
}

#[inline(always)]
fn hashes(span: &TracerSpan) -> impl Iterator<Item = RHash> {
    [span.meta, span.metrics]
        .into_iter()
        .filter_map(RHash::from_value)
}

/// Returns the memory of `count` values from a place on.
#[inline(always)]
fn addresses<T>(first: *const T, count: usize) -> Range<usize> {
    first.addr()..first.wrapping_add(count).addr()
}
