//! Fetching spans into the processor's cache before they are read. They were made over the time of a request, by code
//! that has used much other memory since, and waiting for their parts takes longer than lowering them.

use crate::known::Layouts;
use crate::prefetch::{fetch, fetch_pointee};
use crate::ruby::values_after;
use magnus::{RArray, RObject, Value};

/// Where a Hash has its entries, in words. (In Rubies that have them elsewhere the look at them is in vain.)
const ENTRIES: usize = 2;
/// Where a Time has its contents.
const CONTENTS: usize = 4;

/// Looks at the spans after the one at `index`. Each look tells where to look in the next turn: from the object to its
/// variables, to their values, and to what these hold.
#[inline(always)]
pub fn look(spans: RArray, index: usize, layouts: &Layouts) {
    let [first, second, third, fourth] = values_after(spans, index);
    let slots_of = |span: Option<Value>| layouts.span.slots(RObject::from_value(span?)?);
    if let Some(slots) = slots_of(first) {
        fetch_pointee(slots.meta(), ENTRIES);
        fetch_pointee(slots.metrics(), ENTRIES);
        fetch_pointee(slots.start(), CONTENTS);
    }
    if let Some(slots) = slots_of(second) {
        // Those that spans don't share.
        fetch(slots.resource());
        fetch(slots.meta());
        fetch(slots.metrics());
        fetch(slots.metastruct());
        fetch(slots.start());
        fetch(slots.links());
        fetch(slots.events());
    }
    if let Some(slots) = slots_of(third) {
        slots.fetch();
    }
    if let Some(span) = fourth {
        fetch(span);
    }
}
