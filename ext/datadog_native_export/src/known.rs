//! What is known of Ruby objects from having read others.

use crate::instance_variables::Layout;
use crate::seen::Seen;
use crate::simple_span::SPAN_VARIABLES;
use magnus::gc::Marker;

/// It holds as long as the objects that it is about stay what and where they are. So either the owner marks them,
/// or it is forgotten before Ruby code runs.
#[derive(Default)]
pub struct Known {
    pub seen: Seen,
    pub layouts: Layouts,
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

    pub fn mark(&self, marker: &Marker) {
        self.seen.mark(marker);
        self.layouts.span.mark(marker);
        self.layouts.meta_struct.mark(marker);
    }
}
