//! A place for one Ruby object in a structure that several Ractors may read.

use magnus::Value;
use magnus::gc::Marker;
use magnus::rb_sys::{AsRawValue, FromRawValue};
use std::sync::atomic::{AtomicU64, Ordering};

/// A place for a Ruby object that its owner keeps alive by marking it.
#[derive(Default)]
pub struct SharedSlot(AtomicU64);

impl SharedSlot {
    pub fn set(&self, value: Value) {
        self.0.store(value.as_raw(), Ordering::Release);
    }

    /// Returns what was set last.
    pub fn get(&self) -> Option<Value> {
        match self.0.load(Ordering::Acquire) {
            0 => None,
            // SAFETY: set from a live value, which the owner, who is alive, has marked since.
            raw => Some(unsafe { Value::from_raw(raw) }),
        }
    }

    /// Marks the object for the owner, so that it is neither collected nor moved.
    pub fn mark(&self, marker: &Marker) {
        if let Some(value) = self.get() {
            marker.mark(value);
        }
    }
}
