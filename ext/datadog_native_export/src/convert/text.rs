//! Ruby text as it is sent: UTF-8, whatever it was.

use super::Lowering;
use super::string_cache::StringCache;
use crate::errors::{Failure, Kind};
use crate::ruby::{
    Encodings, StringFacts, append_text, copy_text, is_ascii_only, is_exactly, symbol_text,
    transcode,
};
use libdd_tinybytes::BytesString;
use magnus::value::ReprValue;
use magnus::{Error, RString, Ruby, Symbol, Value};
use pipeline::span::{AGENT_MAX_BYTES, Appended, TextArena, TextError};

/// Names what text is made from, in errors.
pub const TEXT: &str = "String or Symbol";

/// Where text is put.
#[derive(Default)]
pub struct Texts {
    pub arena: TextArena,
    cache: StringCache,
}

impl Texts {
    /// Returns the text of a String that is met all the time, for which nothing but its address is needed, and whether
    /// it is distinct, as in [`Text`].
    #[inline(always)]
    pub fn kept(&self, value: Value) -> Option<(&'static str, bool)> {
        self.cache.kept(value)
    }

    /// Stores the text of a String that isn't frozen, and is short and UTF-8.
    #[inline(never)]
    pub fn append(&mut self, value: Value) -> Option<Appended<'_>> {
        let string = RString::from_value(value)?;
        match StringFacts::of(string).is_common() {
            true => append_text(string, &mut self.arena),
            false => None,
        }
    }
}

/// Text as it is sent.
pub struct Text {
    pub text: BytesString,
    /// Whether no other key of a Hash has the same text, provided that it compares by content. Ruby tells keys of the
    /// same bytes apart when their encodings differ, and Symbols from Strings; keys of a subclass of String can be
    /// changed after they were put in; and text that was repaired may be equal by chance.
    pub distinct: bool,
}

impl Lowering<'_> {
    /// Lowers a String or a Symbol; returns `None` for nil.
    ///
    /// # Errors
    /// For everything else, and for text that is too long.
    #[inline]
    pub fn optional_text(
        &mut self,
        value: Value,
        path: impl Fn() -> String,
    ) -> Result<Option<BytesString>, Failure> {
        match value.is_nil() {
            true => Ok(None),
            false => Ok(Some(self.text(value, path)?.text)),
        }
    }

    /// Lowers text, empty for nil and for what is no text.
    ///
    /// # Errors
    /// As [`Lowering::left_out`].
    #[inline(never)]
    pub fn label(&mut self, value: Value, field: &str) -> Result<BytesString, Failure> {
        let text = self.optional_text(value, || field.to_owned());
        Ok(self.or_left_out(text)?.flatten().unwrap_or_default())
    }

    /// Lowers a String or a Symbol.
    ///
    /// # Errors
    /// For everything else, and for text that is too long.
    pub fn text(&mut self, value: Value, path: impl Fn() -> String) -> Result<Text, Failure> {
        if let Some((text, distinct)) = self.texts.kept(value) {
            let text = BytesString::from_static(text);
            return Ok(Text { text, distinct });
        }
        if let Some(string) = RString::from_value(value) {
            return self.string(string, path);
        }
        match Symbol::from_value(value) {
            Some(symbol) => self.symbol(symbol, path),
            None => Err(Failure::wrong_class(path(), TEXT, value)),
        }
    }

    #[inline(never)]
    fn symbol(&mut self, symbol: Symbol, path: impl Fn() -> String) -> Result<Text, Failure> {
        let string = symbol_text(symbol);
        let text = match self.texts.kept(string.as_value()) {
            Some((text, _)) => {
                self.texts.cache.keep_symbol(symbol, text);
                BytesString::from_static(text)
            }
            None => self.string(string, path)?.text,
        };
        Ok(Text {
            text,
            distinct: false,
        })
    }

    /// Stores text that was made of a value.
    ///
    /// # Errors
    /// For text that is too long.
    pub fn made_text(
        &mut self,
        text: &str,
        path: impl Fn() -> String,
    ) -> Result<BytesString, Failure> {
        let stored = self.texts.arena.put(text.as_bytes());
        stored
            .map(|(text, _)| text)
            .map_err(|error| no_text(error, &path))
    }

    #[inline]
    fn string(&mut self, string: RString, path: impl Fn() -> String) -> Result<Text, Failure> {
        let facts = StringFacts::of(string);
        if facts.is_frozen()
            && let Some((text, distinct)) =
                self.texts
                    .cache
                    .recent(string, facts, &mut self.texts.arena)
        {
            return Ok(Text { text, distinct });
        }
        self.new_string(string, facts, path)
    }

    #[inline]
    fn new_string(
        &mut self,
        string: RString,
        facts: StringFacts,
        path: impl Fn() -> String,
    ) -> Result<Text, Failure> {
        let ruby = self.ruby;
        if !facts.is_read_as_utf8() {
            return self.transcoded(string, path);
        }
        let text = copy_text(string, &mut self.texts.arena);
        let (text, repaired) = text.map_err(|error| no_text(error, &path))?;
        if repaired {
            self.repaired(path)?;
        }
        let text = Text {
            text,
            distinct: facts.is_frozen()
                && (facts.is_known_ascii() || facts.encoding() == Encodings::UTF8)
                && !repaired
                && is_exactly(string, ruby.class_string()),
        };
        if facts.is_frozen() && !repaired {
            let Texts { arena, cache } = &mut *self.texts;
            cache.put(string, facts, text.distinct, &text.text, arena);
        }
        Ok(text)
    }

    /// Lowers a String that has to be transcoded. What has no way to UTF-8 is taken for UTF-8.
    #[cold]
    #[inline(never)]
    fn transcoded(&mut self, string: RString, path: impl Fn() -> String) -> Result<Text, Failure> {
        // No encoding has more than four bytes where UTF-8 has one.
        if string.len() > 4 * AGENT_MAX_BYTES {
            return Err(no_text(TextError::TooLong, &path));
        }
        let (string, replaced) = match is_ascii_only(string) {
            true => (string, false),
            false => transcode_or_replace(self.ruby, string)?,
        };
        // Ruby takes what it has transcoded for valid without a look, so that from CESU-8 and UTF8-DoCoMo broken bytes
        // come through: the copy is checked as any other.
        let text = copy_text(string, &mut self.texts.arena);
        let (text, repaired) = text.map_err(|error| no_text(error, &path))?;
        if repaired || replaced {
            self.repaired(path)?;
        }
        Ok(Text {
            text,
            distinct: false,
        })
    }
}

/// Returns how a path names an entry of a field: `meta["key"]`.
pub fn entry(field: &str, key: &BytesString) -> String {
    let shown: String = key.as_str().chars().take(60).collect();
    format!("{field}[{shown:?}]")
}

fn transcode_or_replace(ruby: &Ruby, string: RString) -> Result<(RString, bool), Error> {
    for replace in [false, true] {
        match transcode(string, replace) {
            Ok(encoded) => return Ok((encoded, replace)),
            Err(error) if error.is_kind_of(ruby.exception_encoding_error()) => {}
            Err(error) => return Err(error),
        }
    }
    Ok((string, false))
}

#[cold]
fn no_text(error: TextError, path: &impl Fn() -> String) -> Failure {
    match error {
        TextError::TooLong => {
            let problem = format!("expected at most {AGENT_MAX_BYTES} bytes of text in a span");
            Failure::new(Kind::Range, path(), problem)
        }
        TextError::OutOfMemory => Failure::new(Kind::NoMemory, path(), "failed to allocate memory"),
    }
}

/// Returns a frozen copy of text for Ruby.
pub fn read_string(ruby: &Ruby, text: &str) -> RString {
    let string = ruby.str_new(text);
    string.freeze();
    string
}
