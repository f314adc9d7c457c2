//! Reading spans ahead. They were made over the time of a request, by code that has used much other memory since, and
//! waiting for their parts takes longer than lowering them.

use super::tracer_span::{Readers, TracerSpan};
use crate::ruby::private::{
    self, CAN_PREFETCH, Entries, prefetch, prefetch_address, prefetch_data, prefetch_range,
    prefetch_text,
};
use crate::ruby::values_from;
use magnus::{RArray, RHash, RObject, Value};

/// Number of spans that are read together: while one part of them is waited for, so are those of the others.
const BATCH: usize = 10;

/// Spans that are read, but not what their values hold.
pub type Batch = [Option<(Value, Option<TracerSpan>)>; BATCH];

/// Reads the next spans of an Array, as many as there are of one batch, and prefetches them level by level: the objects,
/// then their variables, then the values, and then what the values hold. Each level reads what the one before has
/// prefetched. What is no plain object comes without its variables.
#[inline]
pub fn read_batch(spans: RArray, index: usize, readers: &mut Readers) -> Batch {
    let objects: [Option<Value>; BATCH] = values_from(spans, index);
    let is_prefetching = CAN_PREFETCH && private::enabled();
    if is_prefetching {
        objects.iter().flatten().for_each(|span| prefetch(*span));
        let layout = readers.span.layout();
        for span in objects.iter().flatten() {
            if let Some(slots) = RObject::from_value(*span).and_then(|span| layout.slots(span)) {
                prefetch_range(slots.addresses());
            }
        }
    }
    let batch = objects.map(|span| {
        let span = span?;
        Some((span, readers.span.read(span).map(TracerSpan::from)))
    });
    if is_prefetching {
        prefetch_values(&batch);
    }
    batch
}

fn prefetch_values(batch: &Batch) {
    let spans = || batch.iter().flatten().filter_map(|(_, span)| span.as_ref());
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
    for span in spans() {
        for entries in hashes(span).filter_map(Entries::of) {
            prefetch_range(entries.addresses());
        }
    }
    // The values of metrics are mostly no objects.
    let tags = || spans().filter_map(|span| Entries::of(RHash::from_value(span.meta)?));
    tags().for_each(|entries| entries.prefetch_values(prefetch));
    tags().for_each(|entries| entries.prefetch_values(prefetch_text));
}

#[inline(always)]
fn hashes(span: &TracerSpan) -> impl Iterator<Item = RHash> {
    [span.meta, span.metrics]
        .into_iter()
        .filter_map(RHash::from_value)
}
