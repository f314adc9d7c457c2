//! Having the processor fetch into its cache what will be read soon.

use crate::ruby::address;
use magnus::Value;
use magnus::rb_sys::AsRawValue;
use std::ops::Range;

/// Whether anything here has an effect on this processor.
pub const HAS_EFFECT: bool = cfg!(target_arch = "x86_64");

/// Has the processor fetch an object, which is not read.
#[inline]
pub fn fetch(object: Value) {
    fetch_address(address(object));
}

/// Has the processor fetch the memory at an address, which is not read, and need not be anybody's.
#[inline]
pub fn fetch_address(address: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: it has no effect that a program could notice, whatever the address is.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::without_provenance(address));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// As [`fetch_address`], for all addresses.
#[inline(always)]
pub fn fetch_all(addresses: Range<usize>) {
    /// What is fetched at once, on all processors that Ruby is run on.
    const LINE: usize = 64;
    addresses.step_by(LINE).for_each(fetch_address);
}

/// Has the processor fetch what the word at an index of an object points to, if it does.
#[inline]
pub fn fetch_pointee(object: Value, index: usize) {
    /// No object is smaller.
    const WORDS: usize = 5;
    if !rb_sys::SPECIAL_CONST_P(object.as_raw()) && index < WORDS {
        // SAFETY: the object is on the heap, and has this word.
        let word = unsafe { (object.as_raw() as *const usize).add(index).read_volatile() };
        fetch_address(word);
    }
}
