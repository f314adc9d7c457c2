//! The raw Ruby C API, behind safe functions.
//!
//! Everything here runs with the GVL held and on a Ruby thread; holding a [`Value`] proves it.

use magnus::gc::Marker;
use magnus::rb_sys::{AsRawValue, FromRawValue, protect};
use magnus::{Error, Object, RArray, RClass, RHash, Ruby, Value};
use pipeline::queue::Interrupt;
use std::any::Any;
use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A Ruby Integer, as far as it fits into 128 bits and a sign.
pub struct Whole {
    pub negative: bool,
    /// `None` when it takes more than 128 bits.
    pub magnitude: Option<u128>,
}

impl Whole {
    /// `None` when `value` is not an Integer.
    pub fn from_value(value: Value) -> Option<Self> {
        let raw = value.as_raw();
        if let Some(small) = fixnum(value) {
            return Some(Self {
                negative: small < 0,
                magnitude: Some(u128::from(small.unsigned_abs())),
            });
        }
        magnus::Integer::from_value(value)?;
        let mut words = [0u64; 2];
        // SAFETY: `raw` is a Bignum, which packing reads and no more; `words` has room for the
        // two words that are asked for.
        let sign = unsafe {
            rb_sys::rb_integer_pack(
                raw,
                words.as_mut_ptr().cast(),
                words.len() as _,
                size_of::<u64>() as _,
                0,
                (rb_sys::INTEGER_PACK_LSWORD_FIRST | rb_sys::INTEGER_PACK_NATIVE_BYTE_ORDER)
                    as c_int,
            )
        };
        let magnitude = (u128::from(words[1]) << 64) | u128::from(words[0]);
        Some(Self {
            negative: sign < 0,
            // Packing says 2 or -2 when it had to leave bits out.
            magnitude: (sign.abs() < 2).then_some(magnitude),
        })
    }

    /// The number, when `T` can hold it.
    pub fn fit<T: TryFrom<i128> + TryFrom<u128>>(&self) -> Option<T> {
        let magnitude = self.magnitude?;
        if self.negative {
            T::try_from(0i128.checked_sub_unsigned(magnitude)?).ok()
        } else {
            T::try_from(magnitude).ok()
        }
    }
}

/// An Integer that takes no object.
#[inline]
pub fn fixnum(value: Value) -> Option<i64> {
    let raw = value.as_raw();
    // SAFETY: it is a Fixnum.
    rb_sys::FIXNUM_P(raw).then(|| unsafe { rb_sys::FIX2LONG(raw) })
}

/// Calls `each` with every pair of a hash until it returns false. No Ruby object is made and no
/// method of the hash is called.
#[inline]
pub fn each_pair<F: FnMut(Value, Value) -> bool>(hash: RHash, each: F) -> Result<(), Error> {
    struct Iteration<F> {
        each: F,
        panic: Option<Box<dyn Any + Send>>,
    }
    extern "C" fn pair<F: FnMut(Value, Value) -> bool>(
        key: rb_sys::VALUE,
        value: rb_sys::VALUE,
        arg: rb_sys::VALUE,
    ) -> c_int {
        // SAFETY: `arg` is the iteration below, which outlives the loop and is used by it alone.
        let iteration = unsafe { &mut *(arg as *mut c_void).cast::<Iteration<F>>() };
        // SAFETY: Ruby hands in live values, which the hash keeps alive during the loop.
        let (key, value) = unsafe { (Value::from_raw(key), Value::from_raw(value)) };
        match catch_unwind(AssertUnwindSafe(|| (iteration.each)(key, value))) {
            Ok(true) => rb_sys::st_retval::ST_CONTINUE as c_int,
            Ok(false) => rb_sys::st_retval::ST_STOP as c_int,
            Err(panic) => {
                iteration.panic = Some(panic);
                rb_sys::st_retval::ST_STOP as c_int
            }
        }
    }
    let mut iteration = Iteration { each, panic: None };
    let arg = (&raw mut iteration).cast::<c_void>() as rb_sys::VALUE;
    protect(AssertUnwindSafe(|| {
        // SAFETY: `hash` is a Hash, `pair` has the form that is asked for, and what it does never
        // jumps over it: `each` protects what may raise.
        unsafe { rb_sys::rb_hash_foreach(hash.as_raw(), Some(pair::<F>), arg) };
        rb_sys::Qnil as rb_sys::VALUE
    }))?;
    match iteration.panic {
        Some(panic) => resume_unwind(panic),
        None => Ok(()),
    }
}

/// Where an object is. Says which object it is as long as nothing is collected or moved.
#[inline]
pub fn address(value: Value) -> usize {
    value.as_raw() as usize
}

/// The object that is at an address.
///
/// # Safety
/// It must be there still.
pub unsafe fn at_address(address: usize) -> Value {
    // SAFETY: as promised.
    unsafe { Value::from_raw(address as _) }
}

/// The values of an Array from an index on, as far as there are any.
#[inline(always)]
pub fn values_from<const N: usize>(array: RArray, index: usize) -> [Option<Value>; N] {
    // SAFETY: nothing calls Ruby while the slice is used.
    let all = unsafe { array.as_slice() };
    let rest = all.get(index..).unwrap_or_default();
    std::array::from_fn(|place| rest.get(place).copied())
}

/// Whether two values are one object.
pub fn same_object(one: Value, other: Value) -> bool {
    one.as_raw() == other.as_raw()
}

/// Whether an object is of just this class: no subclass, no methods of its own.
pub fn is_exactly(object: impl Object, class: RClass) -> bool {
    // SAFETY: what is an `Object` to magnus is on the heap and has a header.
    let header = unsafe { &*(object.as_raw() as *const rb_sys::RBasic) };
    header.klass == class.as_raw()
}

/// Runs `block` without the GVL. The interrupt is requested when Ruby wants this thread back; `block` should then return
/// soon. It may not touch a Ruby object. `None` when something is waiting for [`check_interrupts`] already.
///
/// # Errors
/// When Ruby can't start the thread that it may need to request it.
pub fn without_gvl<R: Send>(block: impl Fn(&Interrupt) -> R + Sync) -> Result<Option<R>, Error> {
    struct Call<'a, R> {
        block: &'a (dyn Fn(&Interrupt) -> R + Sync),
        interrupt: &'a Interrupt,
        result: Option<std::thread::Result<R>>,
    }
    extern "C" fn run<R>(call: *mut c_void) -> *mut c_void {
        // SAFETY: `call` is the one below, which is on the stack until this returns.
        let call = unsafe { &mut *call.cast::<Call<R>>() };
        let run = || (call.block)(call.interrupt);
        call.result = Some(catch_unwind(AssertUnwindSafe(run)));
        std::ptr::null_mut()
    }
    extern "C" fn unblock(interrupt: *mut c_void) {
        // SAFETY: it is the one below; Ruby calls this only while `rb_nogvl` runs.
        unsafe { &*interrupt.cast::<Interrupt>() }.request();
    }
    // Ruby calls it from a signal handler, which may be late, or come between its setting this function and the
    // argument, which is of an earlier call then.
    extern "C" fn unblock_main(_: *mut c_void) {
        Interrupt::request_of_main();
    }
    let own = Interrupt::of_this_thread();
    let of_main = Interrupt::of_main();
    let interrupt = of_main.unwrap_or(&own);
    // Without the flag, a process of one thread starts another for each call, to call the function from.
    let (unblock, flag): (unsafe extern "C" fn(_), _) = match of_main {
        Some(_) => (unblock_main, rb_sys::RB_NOGVL_UBF_ASYNC_SAFE),
        None => (unblock, 0),
    };
    let mut call = Call {
        block: &block,
        interrupt,
        result: None,
    };
    let call_ptr = (&raw mut call).cast::<c_void>();
    let interrupt_ptr = std::ptr::from_ref(interrupt).cast_mut().cast::<c_void>();
    protect(AssertUnwindSafe(|| {
        // SAFETY: both functions have the form that is asked for and never unwind; their arguments
        // outlive the call. With INTR_FAIL interrupts are left for later, and what it raises
        // before it calls `run` is caught here.
        unsafe {
            rb_sys::rb_nogvl(
                Some(run::<R>),
                call_ptr,
                Some(unblock),
                interrupt_ptr,
                (rb_sys::RB_NOGVL_INTR_FAIL | flag) as c_int,
            );
        }
        rb_sys::Qnil as rb_sys::VALUE
    }))?;
    match call.result.transpose() {
        Ok(result) => Ok(result),
        Err(panic) => resume_unwind(panic),
    }
}

/// Finds out whether this was built for the Ruby that has loaded it: objects look different in another.
///
/// # Errors
/// LoadError when it was not.
pub fn check_version(ruby: &Ruby) -> Result<(), Error> {
    let built_for = [
        rb_sys::RUBY_API_VERSION_MAJOR,
        rb_sys::RUBY_API_VERSION_MINOR,
    ];
    // SAFETY: a constant of the running Ruby.
    let running = unsafe { rb_sys::ruby_api_version };
    if running[..2] == built_for.map(|part| part as c_int) {
        return Ok(());
    }
    let text = |parts: &[String]| parts.join(".");
    let message = format!(
        "built for Ruby {}, this is {}",
        text(&built_for.map(|part| part.to_string())),
        text(&running.map(|part| part.to_string())[..2])
    );
    Err(Error::new(ruby.exception_load_error(), message))
}

/// Lets Ruby handle what has come for this thread: signals, `Thread#kill`, `Timeout`.
pub fn check_interrupts() -> Result<(), Error> {
    protect(|| {
        // SAFETY: what it raises is caught here.
        unsafe { rb_sys::rb_thread_check_ints() };
        rb_sys::Qnil as rb_sys::VALUE
    })
    .map(drop)
}

/// A place for a Ruby object that its owner keeps alive by marking it.
#[derive(Default)]
pub struct SharedSlot(AtomicU64);

impl SharedSlot {
    pub fn set(&self, value: Value) {
        self.0.store(value.as_raw(), Ordering::Release);
    }

    /// What was set last.
    pub fn get(&self) -> Option<Value> {
        match self.0.load(Ordering::Acquire) {
            0 => None,
            // SAFETY: set from a live value, which the owner, who is alive, has marked since.
            raw => Some(unsafe { Value::from_raw(raw) }),
        }
    }

    /// For the owner's `mark`. The object is not moved.
    pub fn mark(&self, marker: &Marker) {
        if let Some(value) = self.get() {
            marker.mark(value);
        }
    }
}

/// Tells the garbage collector of memory that Ruby objects hold outside of Ruby's heap, or no longer
/// hold. Called with the GVL held; a sweep holds it too.
pub fn adjust_memory(bytes: isize) {
    // SAFETY: it adds to a counter, and may start a collection, as any allocation may.
    unsafe { rb_sys::rb_gc_adjust_memory_usage(bytes as _) };
}

/// How many garbage collections were begun so far.
#[inline]
pub fn collections() -> usize {
    // SAFETY: it returns a number.
    unsafe { rb_sys::rb_gc_count() as usize }
}

/// Has `call` called at the very end of the process, when no Ruby code runs any more: after what runs
/// at exit, and before a signal that ended the process is raised again. Not after `exit!`.
pub fn at_end(call: extern "C" fn()) {
    static CALL: OnceLock<extern "C" fn()> = OnceLock::new();
    extern "C" fn end(_: *mut rb_sys::ruby_vm_t) {
        if let Some(call) = CALL.get() {
            call();
        }
    }
    if CALL.set(call).is_ok() {
        // SAFETY: called while the extension is initialized; `end` has the form that is asked for.
        unsafe { rb_sys::ruby_vm_at_exit(Some(end)) };
    }
}

/// Says that everything defined after this may be called from any Ractor.
pub fn allow_ractors() {
    // SAFETY: called from the extension's initialization, as it has to be.
    unsafe { rb_sys::rb_ext_ractor_safe(true) };
}
