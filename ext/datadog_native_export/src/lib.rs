//! The Ruby classes of `datadog-native-export`: they lower Ruby values into spans and hand them to the pipeline.
#![deny(unsafe_code)]

mod classes;
mod convert;
mod errors;
mod ruby;
mod trace;

use magnus::{Error, Ruby};

extern "C" fn at_end() {
    let _ = std::panic::catch_unwind(pipeline::shutdown::at_process_end);
}

#[magnus::init]
fn init(ruby: &Ruby) -> Result<(), Error> {
    crate::ruby::check_version(ruby)?;
    pipeline::init();
    crate::ruby::at_end(at_end);
    crate::ruby::allow_ractors();
    if !crate::ruby::Encodings::check() {
        let message = "this Ruby numbers its encodings in a way that is not known";
        return Err(Error::new(ruby.exception_load_error(), message));
    }
    crate::ruby::private::init(ruby)?;
    classes::span::init(ruby)?;
    classes::trace_chunks::init(ruby)?;
    classes::exporter::init(ruby)
}
