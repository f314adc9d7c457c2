//! Other ways to lower spans, for `rake bench` to compare with.

mod reading;
mod tracer_spans;

use magnus::{Error, Ruby};

#[magnus::init]
fn init(ruby: &Ruby) -> Result<(), Error> {
    tracer_spans::init(ruby.define_module("Baseline")?)
}
