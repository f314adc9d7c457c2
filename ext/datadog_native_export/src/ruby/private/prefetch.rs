//! Telling the processor which memory will be read soon.

use crate::ruby::address;
use magnus::rb_sys::AsRawValue;
use magnus::{RString, RTypedData, Value};
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

/// Prefetches the text of a String.
#[inline]
pub fn prefetch_text(object: Value) {
    if let Some(string) = RString::from_value(object) {
        // SAFETY: it is a String.
        prefetch_address(unsafe { rb_sys::RSTRING_PTR(string.as_raw()) }.addr());
    }
}

/// Prefetches the contents of an object that C code has made, such as a Time.
#[inline]
pub fn prefetch_data(object: Value) {
    if let Some(object) = RTypedData::from_value(object) {
        // SAFETY: it is an object with typed data.
        prefetch_address(unsafe { rb_sys::RTYPEDDATA_GET_DATA(object.as_raw()) }.addr());
    }
}
