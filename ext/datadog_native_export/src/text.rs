//! Ruby text as it is sent: UTF-8, whatever it was.

use crate::errors::wrong_class;
use crate::ruby::{symbol_text, transcode, with_bytes};
use libdd_tinybytes::BytesString;
use magnus::encoding::{Coderange, EncodingCapable};
use magnus::value::ReprValue;
use magnus::{Error, RString, Ruby, Symbol, Value};
use std::borrow::Cow;

/// Text to be read as UTF-8.
pub struct Text {
    string: RString,
    /// Something in it could not be transcoded and was replaced.
    replaced: bool,
    /// Among the keys of a Hash no other can have the same text. Ruby tells keys of the same bytes
    /// apart when their encodings differ, and Symbols from Strings.
    pub unique: bool,
}

impl Text {
    /// Takes a String or a Symbol; `None` for nil.
    ///
    /// # Errors
    /// TypeError with the name of the field for everything else.
    pub fn optional(
        ruby: &Ruby,
        value: Value,
        field: impl FnOnce() -> String,
    ) -> Result<Option<Self>, Error> {
        if let Some(string) = RString::from_value(value) {
            return Self::new(ruby, string).map(Some);
        }
        if let Some(symbol) = Symbol::from_value(value) {
            let mut text = Self::new(ruby, symbol_text(symbol))?;
            text.unique = false;
            return Ok(Some(text));
        }
        if value.is_nil() {
            return Ok(None);
        }
        Err(wrong_class(ruby, &field(), "String or Symbol", value))
    }

    /// As [`Text::optional`], for text that has to be there.
    pub fn required(ruby: &Ruby, value: Value, field: impl Fn() -> String) -> Result<Self, Error> {
        Self::optional(ruby, value, &field)?
            .ok_or_else(|| wrong_class(ruby, &field(), "String or Symbol", value))
    }

    /// Binary strings are taken for UTF-8, as are those whose encoding has no way to UTF-8.
    fn new(ruby: &Ruby, string: RString) -> Result<Self, Error> {
        let known = string.enc_coderange_scan();
        let encoding = string.enc_get();
        let mut text = Self {
            string,
            replaced: false,
            unique: known == Coderange::SevenBit
                || known == Coderange::Valid && encoding == ruby.utf8_encindex(),
        };
        if text.unique
            || encoding == ruby.utf8_encindex()
            || encoding == ruby.usascii_encindex()
            || encoding == ruby.ascii8bit_encindex()
        {
            return Ok(text);
        }
        let is_encoding_error = |error: &Error| error.is_kind_of(ruby.exception_encoding_error());
        match transcode(string, false) {
            Ok(encoded) => text.string = encoded,
            Err(error) if is_encoding_error(&error) => match transcode(string, true) {
                Ok(encoded) => {
                    text.string = encoded;
                    text.replaced = true;
                }
                Err(error) if is_encoding_error(&error) => {}
                Err(error) => return Err(error),
            },
            Err(error) => return Err(error),
        }
        Ok(text)
    }

    /// Reads the text, and whether anything in it was replaced. `read` must not call Ruby.
    pub fn read<R>(&self, read: impl FnOnce(&str, bool) -> R) -> R {
        let known = self.string.enc_coderange_scan();
        let is_utf8 = self.string.enc_get() == Ruby::get_with(self.string).utf8_encindex();
        with_bytes(self.string, |bytes| match known {
            Coderange::SevenBit => {
                // SAFETY: all its bytes are ASCII.
                read(unsafe { str::from_utf8_unchecked(bytes) }, self.replaced)
            }
            Coderange::Valid if is_utf8 => {
                // SAFETY: Ruby has found it valid, by the same definition of UTF-8 as Rust's:
                // no surrogates, nothing above U+10FFFF, no overlong forms.
                read(unsafe { str::from_utf8_unchecked(bytes) }, self.replaced)
            }
            _ => {
                let text = String::from_utf8_lossy(bytes);
                let broken = matches!(text, Cow::Owned(_));
                read(&text, self.replaced || broken)
            }
        })
    }
}

/// A frozen copy for Ruby.
pub fn read_string(ruby: &Ruby, text: &BytesString) -> RString {
    let string = ruby.str_new(text.as_str());
    string.freeze();
    string
}
