//! Other ways to lower spans, for `rake bench` to compare with.

mod high_level;
mod reading;
mod tracer_spans;

use magnus::{Error, Ruby};

#[magnus::init]
fn init(ruby: &Ruby) -> Result<(), Error> {
    let module = ruby.define_module("Baseline")?;
    tracer_spans::init(module)?;
    high_level::init(ruby, module)
}
