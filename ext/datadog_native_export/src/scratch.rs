//! What a thread keeps from one call to the next.

use crate::convert::text::Texts;
use crate::{otel, trace};
use std::cell::Cell;

/// Where text is put, and what was learned of the objects that it is read from.
#[derive(Default)]
pub struct Scratch {
    pub texts: Texts,
    pub tracer: trace::Readers,
    pub otel: otel::Readers,
}

thread_local! {
    /// Empty while spans are lowered: the Ruby code that this may call may lower others.
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

impl Scratch {
    // Between this and `put_back` Ruby may have moved its thread to another of the system, so that neither may use an
    // address that the caller has found before.
    #[inline(never)]
    pub fn take() -> Box<Self> {
        SCRATCH.take().unwrap_or_default()
    }

    #[inline(never)]
    pub fn put_back(self: Box<Self>) {
        SCRATCH.set(Some(self));
    }
}
