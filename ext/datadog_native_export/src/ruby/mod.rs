//! The raw Ruby C API, behind safe functions: all `unsafe` code of the binding is in this room.
//!
//! Everything here runs with the GVL held and on a Ruby thread; holding a [`Value`] proves it. Ruby raises by jumping
//! over Rust frames without running destructors, so whatever may raise is called under `protect`, which returns the
//! exception as an [`Error`].
#![allow(unsafe_code)]

mod array;
mod hash;
mod instance_variables;
mod integer;
pub mod private;
mod slot;
mod string;
mod structs;
mod time;
mod vm;
mod wait;

pub use array::values_from;
pub use hash::{Copies, Keys, each_pair, each_pair_by_ruby, keys};
pub use instance_variables::InstanceVariables;
pub use integer::{RubyInteger, fixnum};
pub use slot::SharedSlot;
pub use string::{
    Encodings, StringFacts, append_text, copy_bytes, copy_text, exact_bytes, has_text,
    is_ascii_only, keep_forever, symbol_text, transcode,
};
pub use structs::Members;
pub use time::nanoseconds;
pub use vm::{adjust_memory, allow_ractors, at_end, check_interrupts, check_version};
pub use wait::wait;

use magnus::rb_sys::AsRawValue;
use magnus::value::ReprValue;
use magnus::{Object, RClass, Value};

/// Returns where an object is. Tells which object it is only as long as nothing is collected or moved.
#[inline(always)]
pub fn address(value: Value) -> usize {
    value.as_raw() as usize
}

/// Returns whether a value is no object on the heap, so that its address is its own for ever.
pub fn is_immediate(value: Value) -> bool {
    rb_sys::SPECIAL_CONST_P(value.as_raw())
}

/// An address that no value has that can be read: all other numbers may be objects.
pub const NO_ADDRESS: usize = rb_sys::Qundef as usize;

/// Returns the name of a value's class. Runs no Ruby code.
pub fn class_name(value: Value) -> String {
    // SAFETY: the name is copied before anything else happens.
    unsafe { value.classname() }.into_owned()
}

/// Returns whether two values are one object.
pub fn same_object(one: Value, other: Value) -> bool {
    one.as_raw() == other.as_raw()
}

/// Returns whether an object is of just this class: no subclass, no methods of its own.
#[inline]
pub fn is_exactly(object: impl Object, class: RClass) -> bool {
    // SAFETY: what is an `Object` to magnus is on the heap and has a header.
    let header = unsafe { &*(object.as_raw() as *const rb_sys::RBasic) };
    header.klass == class.as_raw()
}
