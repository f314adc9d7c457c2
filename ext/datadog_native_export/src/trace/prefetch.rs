//! Prefetching spans before they are read. They were made over the time of a request, by code that has used much other
//! memory since, and waiting for their parts takes longer than lowering them.

use super::tracer_span::{Readers, SpanSlots};
use crate::ruby::private::{
    self, CAN_PREFETCH, Entries, prefetch, prefetch_address, prefetch_pointee, prefetch_range,
};
use crate::ruby::values_from;
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
    let batch: [Option<Value>; BATCH] = values_from(spans, index);
    batch.iter().flatten().for_each(|span| prefetch(*span));
    let layout = readers.span.layout();
    let slots = batch.map(|span| layout.slots(RObject::from_value(span?)?));
    let spans = || slots.iter().flatten();
    spans().for_each(|span| prefetch_range(span.addresses()));
    for span in spans() {
        // Those that spans don't share.
        prefetch(span.resource());
        prefetch(span.meta());
        prefetch(span.metrics());
        prefetch(span.metastruct());
        prefetch(span.start_time());
        prefetch(span.links());
        prefetch(span.events());
    }
    for span in spans() {
        prefetch_pointee(span.resource(), STRING_TEXT);
        prefetch_pointee(span.start_time(), TIME_CONTENTS);
        hashes(span).for_each(|hash| prefetch_address(Entries::table_address(hash)));
    }
    for span in spans() {
        for entries in hashes(span).filter_map(Entries::of) {
            prefetch_range(entries.addresses());
        }
    }
    // The values of metrics are mostly no objects.
    let tags = slots.map(|span| Entries::of(RHash::from_value(span?.meta())?));
    let tags = || tags.iter().flatten();
    tags().for_each(|entries| entries.prefetch_values(None));
    tags().for_each(|entries| entries.prefetch_values(Some(STRING_TEXT)));
}

#[inline(always)]
fn hashes(span: &SpanSlots) -> impl Iterator<Item = RHash> {
    [span.meta(), span.metrics()]
        .into_iter()
        .filter_map(RHash::from_value)
}
