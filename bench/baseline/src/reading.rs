//! Reads a tracer's span by the fewest and fastest calls that Ruby's C API has for it: what every
//! lowering has to do. Believes what it reads, as no real lowering may.

use rb_sys::VALUE;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;

/// What becomes of what is read.
pub trait Store {
    type Text;

    fn text(&mut self, text: &[u8]) -> Self::Text;
    /// Maps of so many entries follow.
    fn maps(&mut self, meta: usize, metrics: usize);
    fn meta(&mut self, key: &[u8], value: &[u8]);
    fn metric(&mut self, key: &[u8], value: f64);
    fn end_span(&mut self, texts: [Self::Text; 4], numbers: Numbers);
}

pub struct Numbers {
    pub trace_id: u128,
    pub span_id: u64,
    pub parent_id: u64,
    pub start: i64,
    pub duration: i64,
    pub error: i32,
}

pub struct InstanceVariables([rb_sys::ID; 12]);

impl InstanceVariables {
    pub fn new() -> Self {
        Self(
            [
                c"@name",
                c"@service",
                c"@resource",
                c"@type",
                c"@id",
                c"@parent_id",
                c"@trace_id",
                c"@meta",
                c"@metrics",
                c"@status",
                c"@start_time",
                c"@duration",
            ]
            // SAFETY: the names are C strings.
            .map(|name| unsafe { rb_sys::rb_intern(name.as_ptr()) }),
        )
    }

    /// # Safety
    /// `span` is an object with these instance variables: text a String or nil, numbers an Integer
    /// (`duration` any number), `start_time` a Time, `meta` and `metrics` a Hash with String keys and
    /// String or number values. Hence nothing here raises, or runs Ruby code.
    pub unsafe fn read<S: Store>(&self, span: VALUE, store: &mut S) {
        // SAFETY: as promised by the caller; the objects live as long as `span` does.
        unsafe {
            let [
                name,
                service,
                resource,
                r#type,
                id,
                parent_id,
                trace_id,
                meta,
                metrics,
                status,
                start,
                duration,
            ] = self.0.map(|id| rb_sys::rb_ivar_get(span, id));
            let texts = [name, service, resource, r#type].map(|value| store.text(bytes(value)));
            store.maps(length(meta), length(metrics));
            let arg = (&raw mut *store).cast::<c_void>() as VALUE;
            rb_sys::rb_hash_foreach(meta, Some(meta_pair::<S>), arg);
            rb_sys::rb_hash_foreach(metrics, Some(metric_pair::<S>), arg);
            let start = rb_sys::rb_time_timespec(start);
            store.end_span(
                texts,
                Numbers {
                    trace_id: wide(trace_id),
                    span_id: rb_sys::rb_num2ull(id),
                    parent_id: rb_sys::rb_num2ull(parent_id),
                    start: start.tv_sec * 1_000_000_000 + start.tv_nsec,
                    duration: (rb_sys::rb_num2dbl(duration) * 1e9) as i64,
                    error: rb_sys::FIX2LONG(status) as i32,
                },
            );
        }
    }
}

extern "C" fn meta_pair<S: Store>(key: VALUE, value: VALUE, store: VALUE) -> c_int {
    // SAFETY: `read` hands in its store, and promises Strings.
    unsafe { (*(store as *mut S)).meta(bytes(key), bytes(value)) };
    rb_sys::st_retval::ST_CONTINUE as c_int
}

extern "C" fn metric_pair<S: Store>(key: VALUE, value: VALUE, store: VALUE) -> c_int {
    // SAFETY: as above.
    unsafe { (*(store as *mut S)).metric(bytes(key), rb_sys::rb_num2dbl(value)) };
    rb_sys::st_retval::ST_CONTINUE as c_int
}

/// # Safety
/// `value` is nil or a String that isn't changed while the bytes are used.
unsafe fn bytes<'a>(value: VALUE) -> &'a [u8] {
    if rb_sys::NIL_P(value) {
        return &[];
    }
    // SAFETY: as promised by the caller.
    unsafe {
        std::slice::from_raw_parts(
            rb_sys::RSTRING_PTR(value).cast(),
            rb_sys::RSTRING_LEN(value) as usize,
        )
    }
}

/// # Safety
/// `hash` is a Hash.
unsafe fn length(hash: VALUE) -> usize {
    // SAFETY: as promised by the caller.
    unsafe { rb_sys::rb_hash_size_num(hash) as usize }
}

/// # Safety
/// `integer` is an Integer.
unsafe fn wide(integer: VALUE) -> u128 {
    let mut words = MaybeUninit::<u128>::uninit();
    let layout = rb_sys::INTEGER_PACK_LSWORD_FIRST | rb_sys::INTEGER_PACK_NATIVE_BYTE_ORDER;
    // SAFETY: as promised by the caller; both words are written.
    unsafe {
        rb_sys::rb_integer_pack(integer, words.as_mut_ptr().cast(), 2, 8, 0, layout as c_int);
        words.assume_init()
    }
}
