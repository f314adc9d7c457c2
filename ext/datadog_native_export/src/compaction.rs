//! Whether the garbage collector has moved objects since one last looked.

use crate::errors::MODULE;
use magnus::gc::Compactor;
use magnus::value::ReprValue;
use magnus::{Class, DataTypeFunctions, Error, Module, Ruby, TypedData, Value};
use std::sync::atomic::{AtomicU64, Ordering};

static COMPACTIONS: AtomicU64 = AtomicU64::new(0);

/// How often objects were moved so far.
#[inline]
pub fn count() -> u64 {
    COMPACTIONS.load(Ordering::Relaxed)
}

/// An object that lives as long as the process and is told whenever references have to follow
/// objects that were moved.
#[derive(TypedData)]
#[magnus(
    class = "Datadog::NativeExport::CompactionWatch",
    free_immediately,
    compact
)]
struct Watch;

impl DataTypeFunctions for Watch {
    fn compact(&self, _: &Compactor) {
        COMPACTIONS.fetch_add(1, Ordering::Relaxed);
    }
}

pub fn init(ruby: &Ruby) -> Result<(), Error> {
    let module = ruby.get_inner(&MODULE);
    let class = module.define_class("CompactionWatch", ruby.class_object())?;
    class.undef_default_alloc_func();
    module.funcall::<_, _, Value>("private_constant", ("CompactionWatch",))?;
    ruby.gc_register_mark_object(ruby.obj_wrap(Watch));
    Ok(())
}
