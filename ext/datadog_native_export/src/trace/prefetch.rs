//! Prefetching spans before they are read. They were made over the time of a request, by code that has used much other
//! memory since, and waiting for their parts takes longer than lowering them.

use super::tracer_span::{Readers, TracerSpan};
use crate::ruby::private::{
    self, CAN_PREFETCH, Entries, prefetch, prefetch_address, prefetch_pointee, prefetch_range,
};
use magnus::{RArray, RHash, RObject, Value};

/// Number of spans that are prefetched together: while one part of them is waited for, so are those of the others.
pub const BATCH: usize = 10;

/// Index of the word of a Time that points to its contents.
const TIME_CONTENTS: usize = 4;
/// Index of the word of a String that points to its text, if that is longer than the object has room for.
const STRING_TEXT: usize = 3;

/// Prefetches the next spans level by level: the objects, then their variables, then the values, and then what the
/// values hold. Each level reads what the one before has prefetched.
pub fn prefetch_batch(spans: RArray, index: usize, readers: &Readers) {
    if !CAN_PREFETCH || !private::enabled() {
        return;
    }
    let end = spans.len().min(index + BATCH);
    let span = |index: usize| spans.entry::<Value>(index as isize).ok();
    let batch: [Option<RObject>; BATCH] = std::array::from_fn(|place| {
        let index = Some(index + place).filter(|index| *index < end)?;
        RObject::from_value(span(index)?)
    });
    let objects = batch.iter().flatten();
    objects
        .clone()
        .for_each(|span| prefetch(magnus::value::ReprValue::as_value(*span)));
    let layout = readers.span.layout();
    objects
        .filter_map(|span| layout.addresses(*span))
        .for_each(prefetch_range);
    let spans = batch.map(|span| layout.read(span?).map(TracerSpan::from));
    let spans = || spans.iter().flatten();
    for span in spans() {
        let own = [
            span.resource,
            span.meta,
            span.metrics,
            span.metastruct,
            span.start_time,
            span.links,
            span.events,
        ];
        own.into_iter().for_each(prefetch);
    }
    for span in spans() {
        prefetch_pointee(span.resource, STRING_TEXT);
        prefetch_pointee(span.start_time, TIME_CONTENTS);
        for hash in hashes(span) {
            prefetch_address(Entries::table_address(hash));
        }
    }
    for entries in spans().flat_map(hashes).filter_map(private::entries) {
        prefetch_range(entries.addresses());
    }
    // The values of metrics are mostly no objects.
    let tags = || spans().filter_map(|span| private::entries(RHash::from_value(span.meta)?));
    tags().for_each(|entries| entries.prefetch_values(None));
    tags().for_each(|entries| entries.prefetch_values(Some(STRING_TEXT)));
}

fn hashes(span: &TracerSpan) -> impl Iterator<Item = RHash> {
    [span.meta, span.metrics]
        .into_iter()
        .filter_map(RHash::from_value)
}
