//! Telling the processor which memory will be read soon.

use crate::ruby::address;
use magnus::Value;
use magnus::rb_sys::AsRawValue;
use std::ops::Range;
#[cfg(target_arch = "x86_64")]
use std::{
    arch::x86_64::{_MM_HINT_ET0, _MM_HINT_T0, _mm_prefetch},
    ptr::without_provenance,
};

/// Bytes that a processor fetches at once, on all that Ruby is run on.
const LINE: usize = 64;

/// Whether anything here has an effect on this processor.
pub const CAN_PREFETCH: bool = cfg!(target_arch = "x86_64");

/// Prefetches an object, which is not read.
#[inline]
pub fn prefetch(object: Value) {
    prefetch_address(address(object));
}

/// Prefetches the memory at an address, which is not read, and need not be anybody's.
#[inline]
pub fn prefetch_address(address: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: it has no effect that a program could notice, whatever the address is.
    unsafe {
        _mm_prefetch::<_MM_HINT_T0>(without_provenance(address));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Prefetches the memory at all addresses of a range.
#[inline]
pub fn prefetch_range(addresses: Range<usize>) {
    addresses.step_by(LINE).for_each(prefetch_address);
}

/// Prefetches the memory of values that will be written.
#[inline]
pub fn prefetch_room<T>(room: *const T, count: usize) {
    #[cfg(target_arch = "x86_64")]
    for address in (room.addr()..room.wrapping_add(count).addr()).step_by(LINE) {
        // SAFETY: as in `prefetch_address`; nothing is written.
        unsafe {
            _mm_prefetch::<_MM_HINT_ET0>(without_provenance(address));
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (room, count);
}

/// Prefetches the text of a String that has it apart from itself. One that is frozen is mostly shared by many spans, and
/// near already.
#[inline]
pub fn prefetch_text(object: Value) {
    const KIND: rb_sys::VALUE = rb_sys::ruby_value_type::RUBY_T_MASK as rb_sys::VALUE
        | rb_sys::ruby_rstring_flags::RSTRING_NOEMBED as rb_sys::VALUE
        | rb_sys::ruby_fl_type::RUBY_FL_FREEZE as rb_sys::VALUE;
    const APART: rb_sys::VALUE = rb_sys::ruby_value_type::RUBY_T_STRING as rb_sys::VALUE
        | rb_sys::ruby_rstring_flags::RSTRING_NOEMBED as rb_sys::VALUE;
    /// Where its address stands, in words.
    const ADDRESS: usize = 3;
    prefetch_part(object, KIND, APART, ADDRESS);
}

/// Prefetches the contents of an object that C code has made, such as a Time. Where they are in the object, as in Ruby 3.3
/// and 3.4, there is nothing to do, and nothing happens.
#[inline]
pub fn prefetch_data(object: Value) {
    const KIND: rb_sys::VALUE = rb_sys::ruby_value_type::RUBY_T_MASK as rb_sys::VALUE;
    const DATA: rb_sys::VALUE = rb_sys::ruby_value_type::RUBY_T_DATA as rb_sys::VALUE;
    /// Where its address stands, in words.
    const ADDRESS: usize = 4;
    prefetch_part(object, KIND, DATA, ADDRESS);
}

/// Prefetches what a word of an object points to, if its flags say that it does. What isn't the address of anything is
/// no harm, but it takes the processor long to find out.
#[inline(always)]
fn prefetch_part(object: Value, mask: rb_sys::VALUE, flags: rb_sys::VALUE, word: usize) {
    /// The size of the smallest objects.
    const WORDS: usize = 5;
    let object = object.as_raw();
    if rb_sys::SPECIAL_CONST_P(object) || word >= WORDS {
        return;
    }
    let object = object as *const rb_sys::VALUE;
    // SAFETY: the object is on the heap, begins with its flags, and has this word.
    let (found, address) = unsafe { (object.read(), object.add(word).read_volatile()) };
    if found & mask == flags {
        prefetch_address(address as usize);
    }
}
