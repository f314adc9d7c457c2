//! Ruby text as it is sent: UTF-8, whatever it was.

use crate::errors::wrong_class;
use crate::ruby::{Encodings, StringFacts, is_exactly, symbol_text, transcode, with_bytes};
use libdd_tinybytes::BytesString;
use magnus::encoding::Coderange;
use magnus::value::ReprValue;
use magnus::{Error, RString, Ruby, Symbol, Value};

/// Text to be read as UTF-8.
pub struct Text {
    string: RString,
    frozen: bool,
    /// It is frozen and ASCII.
    is_ascii: bool,
    /// Something in it could not be transcoded and was replaced.
    replaced: bool,
    /// Among the keys of a Hash no other can have the same text. Ruby tells keys of the same bytes
    /// apart when their encodings differ, and Symbols from Strings; and keys of a subclass of String
    /// can be changed after they were put in.
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
        let known = Encodings::get();
        let facts = StringFacts::of(string);
        let is_utf8 = facts.encoding == known.utf8;
        let is_ascii = facts.coderange == Coderange::SevenBit;
        let mut text = Self {
            string,
            frozen: facts.frozen,
            is_ascii: is_ascii && facts.frozen,
            replaced: false,
            unique: is_exactly(string, ruby.class_string())
                && (is_ascii || is_utf8 && facts.coderange == Coderange::Valid),
        };
        if is_ascii || is_utf8 || facts.encoding == known.us_ascii || facts.encoding == known.binary
        {
            return Ok(text);
        }
        let is_encoding_error = |error: &Error| error.is_kind_of(ruby.exception_encoding_error());
        for replace in [false, true] {
            match transcode(string, replace) {
                Ok(encoded) => {
                    text.string = encoded;
                    text.frozen = false;
                    text.is_ascii = false;
                    text.replaced = replace;
                    break;
                }
                Err(error) if is_encoding_error(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(text)
    }

    /// Reads the text, and whether anything in it was replaced. `read` must not call Ruby.
    ///
    /// Ruby is believed that a frozen String is ASCII and no more than that. The bytes of others may
    /// have changed since it looked, and what it transcodes it takes for valid without a look: from
    /// CESU-8 and UTF8-DoCoMo broken bytes come through.
    pub fn read<R>(&self, read: impl FnOnce(&str, bool) -> R) -> R {
        with_bytes(self.string, self.frozen, |bytes| {
            if self.is_ascii {
                // SAFETY: Ruby has looked at all of its bytes, and they cannot have changed.
                return read(unsafe { str::from_utf8_unchecked(bytes) }, self.replaced);
            }
            match str::from_utf8(bytes) {
                Ok(text) => read(text, self.replaced),
                Err(_) => read(&String::from_utf8_lossy(bytes), true),
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
