//! Fetching spans into the processor's cache before they are read. They were made over the time of a request, by code
//! that has used much other memory since, and waiting for their parts takes longer than lowering them.

use crate::hash_entries::Entries;
use crate::instance_variables::Slots;
use crate::known::Layouts;
use crate::prefetch::{self, fetch, fetch_address, fetch_all, fetch_pointee};
use crate::ruby::values_from;
use crate::simple_span::SPAN_VARIABLES;
use magnus::{RArray, RHash, RObject, Value};

/// Number of spans that are looked at together: while one part of them is waited for, so are those of the others.
pub const TOGETHER: usize = 10;

/// Where a Time has its contents, in words.
const CONTENTS: usize = 4;
/// Where a String has its text, if that is longer than the object has room for.
const TEXT: usize = 3;

/// Looks at the spans from an index on, each time from what was fetched by the time before to what that points to:
/// from the objects to their variables, to the values, and to what these hold.
#[inline(always)]
pub fn look(spans: RArray, index: usize, layouts: &Layouts) {
    if !prefetch::HAS_EFFECT {
        return;
    }
    let spans: [Option<Value>; TOGETHER] = values_from(spans, index);
    spans.iter().flatten().for_each(|span| fetch(*span));
    let slots = spans.map(|span| layouts.span.slots(RObject::from_value(span?)?));
    let slots = || slots.iter().flatten();
    slots().for_each(|slots| fetch_all(slots.addresses()));
    for slots in slots() {
        // Those that spans don't share.
        fetch(slots.resource());
        fetch(slots.meta());
        fetch(slots.metrics());
        fetch(slots.metastruct());
        fetch(slots.start());
        fetch(slots.links());
        fetch(slots.events());
    }
    for slots in slots() {
        fetch_pointee(slots.resource(), TEXT);
        fetch_pointee(slots.start(), CONTENTS);
        for hash in hashes(slots) {
            fetch_address(Entries::table_address(hash));
        }
    }
    for entries in slots().flat_map(hashes).filter_map(Entries::of) {
        fetch_all(entries.addresses());
    }
    values(slots(), fetch);
    values(slots(), |value| fetch_pointee(value, TEXT));
}

type SpanSlots<'a> = Slots<'a, { SPAN_VARIABLES.len() }>;

#[inline(always)]
fn hashes(slots: &SpanSlots) -> impl Iterator<Item = RHash> {
    [slots.meta(), slots.metrics()]
        .into_iter()
        .filter_map(RHash::from_value)
}

/// The values of tags. Those of metrics are mostly no objects.
#[inline(always)]
fn values<'a>(slots: impl Iterator<Item = &'a SpanSlots<'a>>, look: impl Fn(Value)) {
    let tags = slots.filter_map(|slots| RHash::from_value(slots.meta()));
    for entries in tags.filter_map(Entries::of) {
        let each = |_, value| {
            look(value);
            true
        };
        // SAFETY: nothing of Ruby is called.
        unsafe { entries.each(each) };
    }
}
