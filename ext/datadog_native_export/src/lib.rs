//! The Ruby classes of `datadog-native-export`: they lower Ruby values into spans and hand them to the pipeline.
#![deny(unsafe_code)]

mod classes;
mod convert;
mod errors;
mod otel;
mod ruby;
mod scratch;
mod trace;

use magnus::{Error, Ruby, function};

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
    errors::init(ruby);
    crate::ruby::private::init(ruby)?;
    let module = ruby.get_inner(&errors::MODULE);
    module.define_module_function("private_layouts?", function!(ruby::private::in_use, 0))?;
    classes::span::init(ruby)?;
    classes::trace_chunks::init(ruby)?;
    classes::exporter::init(ruby)
}
