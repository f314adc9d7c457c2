//! Ruby's Strings.

use libdd_tinybytes::BytesString;
use magnus::encoding::Coderange;
use magnus::rb_sys::{AsRawValue, FromRawValue, protect};
use magnus::{Error, RString, Ruby, Symbol, Value};
use pipeline::ProcessLocal;
use pipeline::span::{Appended, TextArena, TextError};
use std::collections::HashSet;
use std::ffi::c_int;
use std::sync::{Mutex, PoisonError};

/// Returns the text of a Symbol, without making a String for it.
pub fn symbol_text(symbol: Symbol) -> RString {
    // SAFETY: `symbol` is a Symbol, which has a String.
    let text = unsafe { Value::from_raw(rb_sys::rb_sym2str(symbol.as_raw())) };
    RString::from_value(text).unwrap_or_else(|| unreachable!("the text of a Symbol is a String"))
}

/// Returns a String in UTF-8. With `replace`, what can't be read or has no place in Unicode becomes U+FFFD; without, it
/// is an error.
///
/// # Errors
/// What Ruby raises, EncodingError for a String that has no way to UTF-8.
pub fn transcode(string: RString, replace: bool) -> Result<RString, Error> {
    let flags = if replace {
        rb_sys::ruby_econv_flag_type::RUBY_ECONV_INVALID_REPLACE as c_int
            | rb_sys::ruby_econv_flag_type::RUBY_ECONV_UNDEF_REPLACE as c_int
    } else {
        0
    };
    let encoded = protect(|| {
        // SAFETY: `string` is a String, the target an Encoding; what it raises is caught here.
        unsafe {
            let utf8 = rb_sys::rb_enc_from_encoding(rb_sys::rb_utf8_encoding());
            rb_sys::rb_str_encode(string.as_raw(), utf8, flags, rb_sys::Qnil as rb_sys::VALUE)
        }
    })?;
    // SAFETY: `rb_str_encode` returned a value.
    let encoded = unsafe { Value::from_raw(encoded) };
    RString::from_value(encoded).ok_or_else(|| unreachable!("an encoded String is a String"))
}

/// What Ruby knows of a String without looking at its bytes.
#[derive(Clone, Copy)]
pub struct StringFacts(rb_sys::VALUE);

impl StringFacts {
    const FROZEN: rb_sys::VALUE = rb_sys::ruby_fl_type::RUBY_FL_FREEZE as _;
    const ENCODING: rb_sys::VALUE = rb_sys::ruby_encoding_consts::RUBY_ENCODING_MASK as _;
    const SHIFT: u32 = rb_sys::ruby_encoding_consts::RUBY_ENCODING_SHIFT as _;
    const CODERANGE: rb_sys::VALUE = rb_sys::ruby_coderange_type::RUBY_ENC_CODERANGE_MASK as _;

    /// Reads the flags of the object, where Ruby keeps all of this; a call for each would cost more than the copy of the
    /// text.
    #[inline]
    pub fn of(string: RString) -> Self {
        // SAFETY: a String is on the heap and has a header.
        Self(unsafe { (*(string.as_raw() as *const rb_sys::RBasic)).flags })
    }

    #[inline]
    pub fn is_frozen(self) -> bool {
        self.0 & Self::FROZEN != 0
    }

    /// Returns the index of the String's encoding.
    #[inline]
    pub fn encoding(self) -> c_int {
        ((self.0 & Self::ENCODING) >> Self::SHIFT) as c_int
    }

    /// Returns whether the String isn't frozen and its encoding is one of [`Encodings`], as of nearly all Strings that
    /// don't repeat.
    #[inline(always)]
    pub fn is_common(self) -> bool {
        self.0 & Self::FROZEN == 0
            && self.0 & Self::ENCODING <= (Encodings::US_ASCII as rb_sys::VALUE) << Self::SHIFT
    }

    /// Returns whether the bytes are taken as they are: binary Strings, and US-ASCII ones that are broken, are taken for
    /// UTF-8.
    #[inline]
    pub fn is_read_as_utf8(self) -> bool {
        self.is_known_ascii()
            || matches!(
                self.encoding(),
                Encodings::UTF8 | Encodings::BINARY | Encodings::US_ASCII
            )
    }

    /// Returns whether Ruby has found the String to be ASCII.
    #[inline]
    pub fn is_known_ascii(self) -> bool {
        const SEVEN_BIT: rb_sys::VALUE = rb_sys::ruby_coderange_type::RUBY_ENC_CODERANGE_7BIT as _;
        self.0 & Self::CODERANGE == SEVEN_BIT
    }
}

/// The indexes of the encodings whose bytes are taken as they are. They are the first that Ruby makes
/// (`ENCINDEX_*` in its `encindex.h`); [`Encodings::check`] sees to it.
pub struct Encodings;

impl Encodings {
    pub const BINARY: c_int = 0;
    pub const UTF8: c_int = 1;
    pub const US_ASCII: c_int = 2;

    /// Returns whether this Ruby counts its encodings as expected.
    pub fn check() -> bool {
        // SAFETY: the calls return constants of the running Ruby.
        let indexes = unsafe {
            [
                rb_sys::rb_ascii8bit_encindex(),
                rb_sys::rb_utf8_encindex(),
                rb_sys::rb_usascii_encindex(),
            ]
        };
        indexes == [Self::BINARY, Self::UTF8, Self::US_ASCII]
    }
}

/// Returns whether a String is ASCII. Looks at its bytes unless Ruby knows.
pub fn is_ascii_only(string: RString) -> bool {
    string.enc_coderange_scan() == Coderange::SevenBit
}

/// Returns the bytes of a String. [`RString::as_slice`] is the same, but a call in builds that don't optimize across
/// crates.
///
/// # Safety
/// The String must be neither collected nor moved nor changed in its length while they are used.
#[inline(always)]
unsafe fn bytes(string: &RString) -> &[u8] {
    let string = string.as_raw();
    // SAFETY: as promised; it is a String.
    unsafe {
        let start = rb_sys::RSTRING_PTR(string).cast();
        std::slice::from_raw_parts(start, rb_sys::RSTRING_LEN(string) as usize)
    }
}

/// Copies the text of a String into an arena, repaired if it is not UTF-8, and tells whether it was.
///
/// `IO#readpartial` has the kernel write into a String while other threads run, so that even with the GVL held the bytes
/// of one that isn't frozen may change between two looks.
///
/// # Errors
/// As [`TextArena::put`].
#[inline]
pub fn copy_text(string: RString, arena: &mut TextArena) -> Result<(BytesString, bool), TextError> {
    // SAFETY: `string` is on the stack until the end, so that it is neither collected nor moved, and nothing calls Ruby.
    // What is read may change meanwhile, but not its length.
    let copied = arena.put(unsafe { bytes(&string) });
    std::hint::black_box(string);
    copied
}

/// Does the same for text that is short and UTF-8; returns `None` for other text.
#[inline]
pub fn append_text(string: RString, arena: &mut TextArena) -> Option<Appended<'_>> {
    // SAFETY: as in `copy_text`.
    let appended = arena.append(unsafe { bytes(&string) });
    std::hint::black_box(string);
    appended
}

/// Returns whether a String has just this text.
#[inline]
pub fn has_text(string: RString, text: &str) -> bool {
    // SAFETY: as in `copy_text`.
    let is_same = unsafe { bytes(&string) } == text.as_bytes();
    std::hint::black_box(string);
    is_same
}

/// Keeps a String alive, and where it is, for the life of the process. Returns false if too many are kept already.
pub fn keep_forever(string: RString) -> bool {
    const MOST: usize = 8_192;
    static KEPT: ProcessLocal<Mutex<HashSet<usize>>> = ProcessLocal::new();
    let kept = KEPT.get_or_init(Mutex::default).lock();
    let mut kept = kept.unwrap_or_else(PoisonError::into_inner);
    if kept.len() == MOST {
        return false;
    }
    if kept.insert(string.as_raw() as usize) {
        drop(kept);
        Ruby::get_with(string).gc_register_mark_object(string);
    }
    true
}

/// Returns the bytes of a String that has just so many.
pub fn exact_bytes<const N: usize>(string: RString) -> Option<[u8; N]> {
    // SAFETY: as in `copy_text`.
    let bytes = unsafe { bytes(&string) }.try_into().ok();
    std::hint::black_box(string);
    bytes
}

/// Returns a copy of the bytes of a String, if there is memory for it.
pub fn copy_bytes(string: RString) -> Option<Vec<u8>> {
    let mut copy = Vec::new();
    // SAFETY: as in `copy_text`.
    let bytes = unsafe { bytes(&string) };
    copy.try_reserve_exact(bytes.len()).ok()?;
    copy.extend_from_slice(bytes);
    std::hint::black_box(string);
    Some(copy)
}
