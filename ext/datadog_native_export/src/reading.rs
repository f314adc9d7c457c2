//! Reading Ruby objects where no Ruby code runs, and what is raised is caught further out.

use crate::hash_entries::Entries;
use crate::ruby::is_exactly;
use magnus::rb_sys::{AsRawValue, FromRawValue, protect};
use magnus::value::ReprValue;
use magnus::{Error, RHash, RTypedData, Ruby, Time, Value};
use std::ffi::{c_int, c_void};

/// Reads of Ruby objects, all under one `protect`.
pub struct Reading(());

impl Reading {
    /// Calls `read`.
    ///
    /// # Errors
    /// What Ruby raises in it.
    ///
    /// # Safety
    /// What Ruby raises leaves `read` without running a destructor, so that nothing in it may need
    /// one while a method of [`Reading`] is called.
    pub unsafe fn protect(read: impl FnOnce(&Self)) -> Result<(), Error> {
        protect(|| {
            read(&Self(()));
            rb_sys::Qnil as rb_sys::VALUE
        })
        .map(drop)
    }

    /// As [`crate::ruby::each_pair`]. Whether it is known that no two keys are equal.
    ///
    /// # Safety
    /// `each` must call nothing of Ruby, and not panic.
    #[inline]
    pub unsafe fn each_pair<F: FnMut(Value, Value) -> bool>(
        &self,
        hash: RHash,
        mut each: F,
    ) -> bool {
        extern "C" fn pair<F: FnMut(Value, Value) -> bool>(
            key: rb_sys::VALUE,
            value: rb_sys::VALUE,
            each: rb_sys::VALUE,
        ) -> c_int {
            // SAFETY: it is the closure below, which outlives the loop and is used by it alone;
            // Ruby hands in live values, which the hash keeps alive.
            let goes_on = unsafe {
                let each = &mut *(each as *mut c_void).cast::<F>();
                each(Value::from_raw(key), Value::from_raw(value))
            };
            match goes_on {
                true => rb_sys::st_retval::ST_CONTINUE as c_int,
                false => rb_sys::st_retval::ST_STOP as c_int,
            }
        }
        if let Some(entries) = Entries::of(hash) {
            // SAFETY: as promised.
            unsafe { entries.each(each) };
            return entries.has_distinct_keys();
        }
        let each = (&raw mut each).cast::<c_void>() as rb_sys::VALUE;
        // SAFETY: `hash` is a Hash, and `pair` has the form that is asked for.
        unsafe { rb_sys::rb_hash_foreach(hash.as_raw(), Some(pair::<F>), each) };
        false
    }

    /// Nanoseconds since the epoch of a Time, as far as 64 bits hold them.
    #[inline]
    pub fn nanoseconds(&self, ruby: &Ruby, time: Value) -> Option<i64> {
        let time = RTypedData::from_value(time)?;
        // Whether it is of a subclass takes a call.
        if !is_exactly(time, ruby.class_time()) {
            Time::from_value(time.as_value())?;
        }
        // SAFETY: it is a Time; what is raised for one out of range is caught by `protect`.
        let time = unsafe { rb_sys::rb_time_timespec(time.as_raw()) };
        time.tv_sec
            .checked_mul(1_000_000_000)?
            .checked_add(time.tv_nsec)
    }
}
