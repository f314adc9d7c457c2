//! Reading the entries of a Hash.

use super::private::Entries;
use magnus::rb_sys::{AsRawValue, FromRawValue, protect};
use magnus::{Error, RHash, Value};
use std::any::Any;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// How the keys of a Hash relate to each other.
#[derive(Clone, Copy, PartialEq)]
pub enum Keys {
    /// Keys of the same bytes and encoding are one entry, as in every ordinary Hash.
    Distinct,
    /// Equal keys may be entries of their own, as in a Hash that compares by identity; or it isn't known.
    MayRepeat,
}

/// Calls `each` with every key and value of a Hash, and with how its keys relate, until it fails. No Ruby object is
/// made and no method of the Hash is called.
///
/// Entries are read before the first call where that is possible, so that what `each` does to the Hash has no effect.
/// Otherwise Ruby raises RuntimeError there if `each` adds a key.
///
/// # Errors
/// What `each` returns, and what Ruby raises.
pub fn each_pair<E: From<Error>>(
    hash: RHash,
    mut each: impl FnMut(Keys, Value, Value) -> Result<(), E>,
) -> Result<(), E> {
    let mut copies = Copies::default();
    match copies.read(hash) {
        Some((keys, mut pairs)) => pairs.try_for_each(|(key, value)| each(keys, key, value)),
        None => each_pair_by_ruby(hash, |key, value| each(Keys::MayRepeat, key, value)),
    }
}

/// Returns how the keys of a Hash relate.
pub fn keys(hash: RHash) -> Keys {
    Entries::of(hash).map_or(Keys::MayRepeat, |entries| entries.keys())
}

/// Room for copies of the entries of a Hash. It stands on the stack, where the garbage collector finds them.
pub struct Copies([[MaybeUninit<rb_sys::VALUE>; 2]; Entries::MOST_COPIED]);

impl Default for Copies {
    #[inline(always)]
    fn default() -> Self {
        Self([[MaybeUninit::uninit(); 2]; Entries::MOST_COPIED])
    }
}

impl Copies {
    /// Copies the entries of a Hash, and tells how its keys relate. Returns `None` where they can't be read at once.
    #[inline(always)]
    pub fn read(
        &mut self,
        hash: RHash,
    ) -> Option<(Keys, impl ExactSizeIterator<Item = (Value, Value)>)> {
        let entries = Entries::of(hash)?;
        let copied = entries.copy_to(&mut self.0)?;
        // SAFETY: both were live when they were copied, and are kept alive by the copies since.
        let pair = |&[key, value]: &[rb_sys::VALUE; 2]| unsafe {
            (Value::from_raw(key), Value::from_raw(value))
        };
        Some((entries.keys(), copied.iter().map(pair)))
    }
}

/// Calls `each` with every key and value by Ruby's own iteration.
///
/// # Errors
/// As [`each_pair`].
pub fn each_pair_by_ruby<E: From<Error>, F: FnMut(Value, Value) -> Result<(), E>>(
    hash: RHash,
    each: F,
) -> Result<(), E> {
    struct Iteration<E, F> {
        each: F,
        result: Result<(), E>,
        panic: Option<Box<dyn Any + Send>>,
    }
    extern "C" fn pair<E, F: FnMut(Value, Value) -> Result<(), E>>(
        key: rb_sys::VALUE,
        value: rb_sys::VALUE,
        arg: rb_sys::VALUE,
    ) -> c_int {
        // SAFETY: `arg` is the iteration below, which outlives the loop and is used by it alone.
        let iteration = unsafe { &mut *(arg as *mut c_void).cast::<Iteration<E, F>>() };
        // SAFETY: Ruby passes live values, which stand on its stack during the call.
        let (key, value) = unsafe { (Value::from_raw(key), Value::from_raw(value)) };
        match catch_unwind(AssertUnwindSafe(|| (iteration.each)(key, value))) {
            Ok(result) => iteration.result = result,
            Err(panic) => iteration.panic = Some(panic),
        }
        match iteration.result.is_ok() && iteration.panic.is_none() {
            true => rb_sys::st_retval::ST_CONTINUE as c_int,
            false => rb_sys::st_retval::ST_STOP as c_int,
        }
    }
    let mut iteration = Iteration {
        each,
        result: Ok(()),
        panic: None,
    };
    let arg = (&raw mut iteration).cast::<c_void>() as rb_sys::VALUE;
    protect(AssertUnwindSafe(|| {
        // SAFETY: `hash` is a Hash, `pair` has the form that is asked for, and nothing jumps over it: `each` protects
        // what may raise.
        unsafe { rb_sys::rb_hash_foreach(hash.as_raw(), Some(pair::<E, F>), arg) };
        rb_sys::Qnil as rb_sys::VALUE
    }))?;
    match iteration.panic {
        Some(panic) => resume_unwind(panic),
        None => iteration.result,
    }
}
