//! Ruby's Strings by its raw C API, behind safe functions. As in [`crate::ruby`], whoever holds one has the GVL.

use magnus::encoding::Coderange;
use magnus::rb_sys::{AsRawValue, FromRawValue, protect};
use magnus::{Error, RString, Symbol, Value};
use pipeline::text::{Slice, Texts};
use std::ffi::c_int;

/// The text of a symbol, without making a String for it.
pub fn symbol_text(symbol: Symbol) -> RString {
    // SAFETY: `symbol` is a Symbol, which has a String.
    let text = unsafe { Value::from_raw(rb_sys::rb_sym2str(symbol.as_raw())) };
    RString::from_value(text).unwrap_or_else(|| unreachable!("the text of a Symbol is a String"))
}

/// `string` in UTF-8. With `replace`, what cannot be read or has no place in Unicode becomes
/// U+FFFD; without, it raises.
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
pub struct StringFacts {
    pub encoding: c_int,
    pub coderange: Coderange,
    pub frozen: bool,
}

impl StringFacts {
    /// Reads the flags of the object, where Ruby keeps all of this; a call for each would cost more
    /// than the copy of the text.
    #[inline]
    pub fn of(string: RString) -> Self {
        const ENCODING: rb_sys::VALUE = rb_sys::ruby_encoding_consts::RUBY_ENCODING_MASK as _;
        const SHIFT: u32 = rb_sys::ruby_encoding_consts::RUBY_ENCODING_SHIFT as _;
        const CODERANGE: rb_sys::VALUE = rb_sys::ruby_coderange_type::RUBY_ENC_CODERANGE_MASK as _;
        const SEVEN_BIT: rb_sys::VALUE = rb_sys::ruby_coderange_type::RUBY_ENC_CODERANGE_7BIT as _;
        const VALID: rb_sys::VALUE = rb_sys::ruby_coderange_type::RUBY_ENC_CODERANGE_VALID as _;
        const FROZEN: rb_sys::VALUE = rb_sys::ruby_fl_type::RUBY_FL_FREEZE as _;

        // SAFETY: a String is on the heap and has a header.
        let flags = unsafe { (*(string.as_raw() as *const rb_sys::RBasic)).flags };
        Self {
            encoding: ((flags & ENCODING) >> SHIFT) as c_int,
            coderange: match flags & CODERANGE {
                SEVEN_BIT => Coderange::SevenBit,
                VALID => Coderange::Valid,
                0 => Coderange::Unknown,
                _ => Coderange::Broken,
            },
            frozen: flags & FROZEN != 0,
        }
    }
}

/// The indexes of the encodings whose bytes are taken as they are. They are the first that Ruby makes
/// (`ENCINDEX_*` in its `encindex.h`); [`Encodings::check`] sees to it.
pub struct Encodings;

impl Encodings {
    pub const BINARY: c_int = 0;
    pub const UTF8: c_int = 1;
    pub const US_ASCII: c_int = 2;

    /// Whether this Ruby counts its encodings as expected.
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

/// Whether a String is ASCII. Looks at its bytes unless Ruby knows.
pub fn is_ascii_only(string: RString) -> bool {
    string.enc_coderange_scan() == Coderange::SevenBit
}

/// Copies the text of a String. `IO#readpartial` has the kernel write into a String while other threads run, so that
/// even with the GVL held the bytes of one that isn't frozen may change between two looks.
#[inline(always)]
pub fn copy_text(string: RString, texts: &mut Texts) -> (Slice, bool) {
    // SAFETY: `string` is on the stack until the end, so that it is neither collected nor moved, and
    // nothing calls Ruby. What is read may change meanwhile, but not its length.
    let copied = texts.push_bytes(unsafe { string.as_slice() });
    std::hint::black_box(string);
    copied
}

/// As [`copy_text`], for any bytes.
pub fn copy_bytes(string: RString) -> Vec<u8> {
    // SAFETY: as there.
    let copied = unsafe { string.as_slice() }.to_vec();
    std::hint::black_box(string);
    copied
}
