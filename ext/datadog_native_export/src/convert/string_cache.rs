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

/// Number of sets of a table. An address belongs to one of them.
const SETS: usize = 256;
/// Number of texts in a set: two keys of every span often belong to the same one.
const WAYS: usize = 2;
/// Number of times that a String is met before it is kept.
const HITS: u8 = 20;

/// Caches from the address of a frozen String to its text.
pub struct StringCache {
    kept: Box<[[Kept; WAYS]; SETS]>,
    recent: Box<[[Recent; WAYS]; SETS]>,
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
            kept: Box::new([[kept; WAYS]; SETS]),
            recent: Box::new([[recent; WAYS]; SETS]),
        }
    }
}

impl StringCache {
    /// Returns the text of a String that is kept, and whether it is distinct, as in [`super::text::Text`].
    #[inline(always)]
    pub fn kept(&self, value: Value) -> Option<(&'static str, bool)> {
        let set = &self.kept[index(address(value))];
        let mut set = set.iter();
        let kept = set.find(|kept| kept.string == address(value))?;
        Some((kept.text, kept.distinct))
    }

    /// Keeps the text of a Symbol that is no object, and so stays for ever.
    pub fn keep_symbol(&mut self, symbol: Symbol, text: &'static str) {
        let symbol = symbol.as_value();
        if is_immediate(symbol) {
            self.keep(Kept {
                string: address(symbol),
                text,
                distinct: false,
            });
        }
    }

    fn keep(&mut self, kept: Kept) {
        let set = &mut self.kept[index(kept.string)];
        set.rotate_right(1);
        set[0] = kept;
    }

    /// Returns the text of a frozen String that was met lately, and whether it is distinct.
    pub fn recent(
        &mut self,
        string: RString,
        facts: StringFacts,
        arena: &mut TextArena,
    ) -> Option<(BytesString, bool)> {
        let string_address = address(string.as_value());
        let mut set = self.recent[index(string_address)].iter_mut();
        let slot = set.find(|slot| slot.string == string_address)?;
        if slot.encoding != facts.encoding() {
            return None;
        }
        let place = slot.place?;
        let text = arena.get(place).filter(|text| has_text(string, text))?;
        slot.distinct &= is_exactly(string, Ruby::get_with(string).class_string());
        let distinct = slot.distinct;
        slot.hits += 1;
        if slot.hits == HITS {
            slot.hits = 0;
            if let Some(text) = make_static(text).filter(|_| keep_forever(string)) {
                self.keep(Kept {
                    string: string_address,
                    text,
                    distinct,
                });
                return Some((BytesString::from_static(text), distinct));
            }
        }
        Some((arena.share(place)?, distinct))
    }

    /// Remembers the text of a frozen String, which takes the place of one that was met less often.
    pub fn put(
        &mut self,
        string: RString,
        facts: StringFacts,
        distinct: bool,
        text: &BytesString,
        arena: &TextArena,
    ) {
        let string = address(string.as_value());
        let set = &mut self.recent[index(string)];
        let of = |address| set.iter().position(|slot| slot.string == address);
        let way = of(string).or_else(|| of(NO_ADDRESS));
        let slot = &mut set[way.unwrap_or(usize::from(set[1].hits < set[0].hits))];
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
    (address >> 3 ^ address >> 8) % SETS
}
