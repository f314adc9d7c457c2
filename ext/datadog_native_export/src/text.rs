//! Ruby text as it is sent: UTF-8, whatever it was.

use crate::errors::wrong_class;
use crate::ruby::is_exactly;
use crate::strings::{Encodings, StringFacts, copy_text, is_ascii_only, symbol_text, transcode};
use magnus::encoding::Coderange;
use magnus::value::ReprValue;
use magnus::{Error, RString, Ruby, Symbol, Value};
use pipeline::text::{Slice, Texts};

/// Text to be read as UTF-8.
pub struct Text {
    string: RString,
    /// Something in it could not be transcoded and was replaced.
    replaced: bool,
    /// Among the keys of a Hash no other has the same text, unless it is repaired. Ruby tells keys of
    /// the same bytes apart when their encodings differ, and Symbols from Strings; keys of a subclass of
    /// String can be changed after they were put in; and those that are not frozen are found by identity.
    /// (Not so for what `Enumerable#tally` puts in, if it is changed and then frozen without a `rehash`.)
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

    /// What needs no transcoding: UTF-8, and binary Strings and broken US-ASCII, which are taken for
    /// UTF-8.
    #[inline]
    pub fn simple(ruby: &Ruby, value: Value) -> Option<Self> {
        let string = RString::from_value(value)?;
        let facts = StringFacts::of(string);
        let is_ascii = facts.coderange == Coderange::SevenBit;
        let is_utf8 = facts.encoding == Encodings::UTF8;
        let is_read_as_utf8 = matches!(
            facts.encoding,
            Encodings::UTF8 | Encodings::BINARY | Encodings::US_ASCII
        );
        if !is_read_as_utf8 && !is_ascii {
            return None;
        }
        Some(Self {
            string,
            replaced: false,
            unique: facts.frozen
                && (is_utf8 || is_ascii)
                && is_exactly(string, ruby.class_string()),
        })
    }

    /// Strings whose encoding has no way to UTF-8 are taken for UTF-8.
    fn new(ruby: &Ruby, string: RString) -> Result<Self, Error> {
        if let Some(text) = Self::simple(ruby, string.as_value()) {
            return Ok(text);
        }
        let mut text = Self {
            string,
            replaced: false,
            unique: false,
        };
        if is_ascii_only(string) {
            return Ok(text);
        }
        let is_encoding_error = |error: &Error| error.is_kind_of(ruby.exception_encoding_error());
        for replace in [false, true] {
            match transcode(string, replace) {
                Ok(encoded) => {
                    text.string = encoded;
                    text.replaced = replace;
                    break;
                }
                Err(error) if is_encoding_error(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(text)
    }

    /// Puts the text in, and tells whether anything in it was replaced.
    ///
    /// Ruby is not believed that its bytes are valid: they may have changed since it looked, and what it
    /// transcodes it takes for valid without a look, so that from CESU-8 and UTF8-DoCoMo broken bytes come
    /// through.
    #[inline(always)]
    pub fn put_into(&self, texts: &mut Texts) -> (Slice, bool) {
        let (slice, repaired) = copy_text(self.string, texts);
        (slice, repaired || self.replaced)
    }

    /// A copy of the text, and whether anything in it was replaced.
    pub fn to_owned(&self) -> (String, bool) {
        let mut texts = Texts::default();
        let (_, repaired) = self.put_into(&mut texts);
        (texts.into_string(), repaired)
    }
}

/// How an error names an entry.
pub fn entry(field: &str, key: &Text) -> String {
    let shown: String = key.to_owned().0.chars().take(60).collect();
    format!("{field}[{shown:?}]")
}

/// A frozen copy for Ruby.
pub fn read_string(ruby: &Ruby, text: &str) -> RString {
    let string = ruby.str_new(text);
    string.freeze();
    string
}
