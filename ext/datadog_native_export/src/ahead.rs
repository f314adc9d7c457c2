//! Fetching spans into the processor's cache before they are read. They were made over the time of a request, by code
//! that has used much other memory since, and waiting for their parts takes longer than lowering them.

use crate::known::Layouts;
use crate::ruby::{fetch, values_after};
use magnus::{RArray, RObject, Value};

/// Looks at the spans after the one at `index`. Each look tells where to look in the next turn: from the object to its
/// variables, and from these to their values.
#[inline(always)]
pub fn look(spans: RArray, index: usize, layouts: &Layouts) {
    let [first, second, third] = values_after(spans, index);
    let slots_of = |span: Option<Value>| layouts.span.slots(RObject::from_value(span?)?);
    if let Some(slots) = slots_of(first) {
        // Those that spans don't share.
        fetch(slots.resource());
        fetch(slots.meta());
        fetch(slots.metrics());
        fetch(slots.metastruct());
        fetch(slots.start());
        fetch(slots.links());
        fetch(slots.events());
    }
    if let Some(slots) = slots_of(second) {
        slots.fetch();
    }
    if let Some(span) = third {
        fetch(span);
    }
}
