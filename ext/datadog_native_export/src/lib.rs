//! The Ruby classes of `datadog-native-export`: they lower Ruby values into spans and hand them to
//! the pipeline.

mod ahead;
mod compaction;
mod errors;
mod events;
mod exporter;
mod gvl;
mod hash_entries;
mod instance_variables;
mod known;
mod links;
mod meta_struct;
mod numbers;
mod prefetch;
mod reading;
mod ruby;
mod seen;
mod simple_span;
mod simple_tags;
mod span;
mod span_reading;
mod strings;
mod text;
mod tools;
mod trace;
mod trace_chunks;
mod tracer_span;

use magnus::{Error, Ruby};

extern "C" fn drain() {
    let _ = std::panic::catch_unwind(pipeline::ending::drain);
}

#[magnus::init]
fn init(ruby: &Ruby) -> Result<(), Error> {
    crate::ruby::check_version(ruby)?;
    pipeline::fork::watch();
    pipeline::diagnostics::listen();
    crate::ruby::at_end(drain);
    crate::ruby::allow_ractors();
    if !strings::Encodings::check() {
        let message = "this Ruby numbers its encodings in a way that is not known";
        return Err(Error::new(ruby.exception_load_error(), message));
    }
    compaction::init(ruby)?;
    hash_entries::check(ruby)?;
    span::init(ruby)?;
    trace_chunks::init(ruby)?;
    exporter::init(ruby)
}
