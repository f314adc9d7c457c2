//! Frozen Strings that repeat: keys, and values that are literals, are the same objects in span after span.
//!
//! One that is met often becomes a static text, and its object is kept for the life of the process where it is, so that
//! from then on its address says which text it is. Both tables are bounded. Until then its text is shared as long as the
//! arena has its block open, and since an address may be another object's by now, encoding and bytes are compared.

use crate::ruby::{
    NO_ADDRESS, StringFacts, address, has_text, is_exactly, is_immediate, keep_forever,
};
use libdd_tinybytes::BytesString;
use magnus::value::ReprValue;
use magnus::{RString, Ruby, Symbol, Value};
use pipeline::span::{ArenaText, TextArena, make_static};

const SLOTS: usize = 512;
/// Number of times that a String is met before it is kept.
const HITS: u8 = 20;

/// Direct-mapped caches from the address of a frozen String to its text.
pub struct StringCache {
    kept: Box<[Kept; SLOTS]>,
    recent: Box<[Recent; SLOTS]>,
}

/// A String or Symbol that is kept for ever.
#[derive(Clone, Copy)]
struct Kept {
    string: usize,
    text: &'static str,
    distinct: bool,
}

/// A String that was met lately.
#[derive(Clone, Copy)]
struct Recent {
    string: usize,
    place: Option<ArenaText>,
    encoding: i32,
    distinct: bool,
    hits: u8,
}

impl Default for StringCache {
    fn default() -> Self {
        let kept = Kept {
            string: NO_ADDRESS,
            text: "",
            distinct: false,
        };
        let recent = Recent {
            string: NO_ADDRESS,
            place: None,
            encoding: -1,
            distinct: false,
            hits: 0,
        };
        Self {
            kept: Box::new([kept; SLOTS]),
            recent: Box::new([recent; SLOTS]),
        }
    }
}

impl StringCache {
    /// Returns the text of a String that is kept, and whether it is distinct, as in [`super::text::Text`].
    #[inline(always)]
    pub fn kept(&self, value: Value) -> Option<(&'static str, bool)> {
        let slot = &self.kept[index(address(value))];
        (slot.string == address(value)).then_some((slot.text, slot.distinct))
    }

    /// Keeps the text of a Symbol that is no object, and so stays for ever.
    pub fn keep_symbol(&mut self, symbol: Symbol, text: &'static str) {
        if is_immediate(symbol.as_value()) {
            self.kept[index(address(symbol.as_value()))] = Kept {
                string: address(symbol.as_value()),
                text,
                distinct: false,
            };
        }
    }

    /// Returns the text of a frozen String that was met lately, and whether it is distinct.
    pub fn recent(
        &mut self,
        string: RString,
        facts: StringFacts,
        arena: &mut TextArena,
    ) -> Option<(BytesString, bool)> {
        let string_address = address(string.as_value());
        let slot = &mut self.recent[index(string_address)];
        if slot.string != string_address || slot.encoding != facts.encoding() {
            return None;
        }
        let text = arena
            .get(slot.place?)
            .filter(|text| has_text(string, text))?;
        slot.distinct &= is_exactly(string, Ruby::get_with(string).class_string());
        slot.hits += 1;
        if slot.hits == HITS {
            slot.hits = 0;
            if let Some(text) = make_static(text).filter(|_| keep_forever(string)) {
                self.kept[index(string_address)] = Kept {
                    string: string_address,
                    text,
                    distinct: slot.distinct,
                };
                return Some((BytesString::from_static(text), slot.distinct));
            }
        }
        Some((arena.share(slot.place?)?, slot.distinct))
    }

    /// Remembers the text of a frozen String, which takes the place of another.
    pub fn put(
        &mut self,
        string: RString,
        facts: StringFacts,
        distinct: bool,
        text: &BytesString,
        arena: &TextArena,
    ) {
        let string = address(string.as_value());
        let slot = &mut self.recent[index(string)];
        *slot = Recent {
            string,
            place: arena.place_of(text),
            encoding: facts.encoding(),
            distinct,
            // A block that is full is no reason to begin to count anew.
            hits: match slot.string == string {
                true => slot.hits,
                false => 0,
            },
        };
    }
}

/// Objects stand at multiples of 8. Symbols that are none differ in the bits above the lowest byte.
#[inline(always)]
fn index(address: usize) -> usize {
    (address >> 3 ^ address >> 8) % SLOTS
}
