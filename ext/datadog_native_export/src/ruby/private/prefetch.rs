//! Telling the processor which memory will be read soon.

use crate::ruby::address;
use magnus::Value;
use magnus::rb_sys::AsRawValue;
use std::ops::Range;

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
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::without_provenance(address));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Prefetches the memory at all addresses of a range.
#[inline]
pub fn prefetch_range(addresses: Range<usize>) {
    /// Bytes that a processor fetches at once, on all that Ruby is run on.
    const LINE: usize = 64;
    addresses.step_by(LINE).for_each(prefetch_address);
}

/// Prefetches what the word at an index of an object points to, if it points anywhere.
#[inline]
pub fn prefetch_pointee(object: Value, index: usize) {
    /// The size of the smallest objects.
    const WORDS: usize = 5;
    if !rb_sys::SPECIAL_CONST_P(object.as_raw()) && index < WORDS {
        // SAFETY: the object is on the heap, and has this word.
        let word = unsafe { (object.as_raw() as *const usize).add(index).read_volatile() };
        prefetch_address(word);
    }
}
