//! The virtual machine as a whole: its version, its end, its interrupts, its memory.

use magnus::rb_sys::protect;
use magnus::{Error, Ruby};
use std::ffi::c_int;
use std::sync::OnceLock;

/// Checks that this was built for the Ruby that has loaded it: objects look different in another.
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
///
/// # Errors
/// What that raises.
pub fn check_interrupts() -> Result<(), Error> {
    protect(|| {
        // SAFETY: what it raises is caught here.
        unsafe { rb_sys::rb_thread_check_ints() };
        rb_sys::Qnil as rb_sys::VALUE
    })
    .map(drop)
}

/// Tells the garbage collector of memory that Ruby objects hold outside of Ruby's heap, or no longer hold.
///
/// Called with the GVL held; a sweep holds it too.
pub fn adjust_memory(bytes: isize) {
    // SAFETY: it adds to a counter, and may start a collection, as any allocation may.
    unsafe { rb_sys::rb_gc_adjust_memory_usage(bytes as _) };
}

/// Has `call` called at the very end of the process, when no Ruby code runs any more: after what runs at exit, and
/// before a signal that ended the process is raised again. Not after `exit!`.
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

/// Declares that everything defined after this may be called from any Ractor.
pub fn allow_ractors() {
    // SAFETY: called from the extension's initialization, as it has to be.
    unsafe { rb_sys::rb_ext_ractor_safe(true) };
}
