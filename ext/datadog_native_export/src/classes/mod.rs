//! The Ruby classes, one file each. They are documented for Ruby in `lib/datadog/native_export/`.

pub mod exporter;
pub mod span;
mod span_readers;
pub mod trace_chunks;

use crate::ruby::adjust_memory;
use std::cell::Cell;

/// Bytes by which the memory of an object may change before the garbage collector is told.
const UNREPORTED: isize = 1_024;

/// The bytes of memory that the garbage collector was told an object holds.
#[derive(Default)]
pub struct ReportedMemory(Cell<isize>);

impl ReportedMemory {
    /// Tells the garbage collector how much memory an object holds, if that has changed by much.
    pub fn update(&self, bytes: usize) {
        let change = bytes as isize - self.0.get();
        if bytes == 0 || change.abs() >= UNREPORTED {
            self.0.set(bytes as isize);
            if change != 0 {
                adjust_memory(change);
            }
        }
    }
}

impl Drop for ReportedMemory {
    fn drop(&mut self) {
        self.update(0);
    }
}
