//! What is known of Ruby objects from having read others.

use crate::compaction;
use crate::instance_variables::Layout;
use crate::seen::Seen;
use crate::simple_span::SPAN_VARIABLES;
use magnus::gc::Marker;
use std::cell::Cell;

/// It holds as long as the objects that it is about stay what and where they are. So either the owner marks them,
/// or it is forgotten before Ruby code runs.
///
/// What is marked is not moved, but what is noted between marking and moving is: Ruby 3.1 moves objects while it sweeps,
/// and lets Ruby code run in between. So all is forgotten once objects were moved.
#[derive(Default)]
pub struct Known {
    pub seen: Seen,
    pub layouts: Layouts,
    /// How often objects had been moved when it was looked at last.
    compactions: Cell<u64>,
}

/// Where spans and their structured tags have their variables.
#[derive(Default)]
pub struct Layouts {
    pub span: Layout<{ SPAN_VARIABLES.len() }>,
    pub meta_struct: Layout<1>,
}

impl Known {
    pub fn forget(&self) {
        self.seen.forget();
        self.layouts.span.forget();
        self.layouts.meta_struct.forget();
    }

    /// Forgets what may not hold any more.
    pub fn refresh(&self) {
        let compactions = compaction::count();
        if self.compactions.replace(compactions) != compactions {
            self.forget();
        }
    }

    pub fn mark(&self, marker: &Marker) {
        self.refresh();
        self.seen.mark(marker);
        self.layouts.span.mark(marker);
        self.layouts.meta_struct.mark(marker);
    }
}
