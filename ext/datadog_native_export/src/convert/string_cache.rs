//! Frozen Strings that repeat: keys, and values that are literals, are the same objects in span after span.

use crate::ruby::{StringFacts, address, has_text};
use libdd_tinybytes::BytesString;
use magnus::RString;
use magnus::value::ReprValue;
use pipeline::span::{ArenaText, TextArena, make_static};

/// Direct-mapped cache from the address of a frozen String to its text.
///
/// An address may be another object's by now, so that what is found has to have the same encoding and bytes. A text that
/// is found often becomes static; until then it is shared as long as the arena has its block open.
pub struct StringCache {
    slots: Box<[Slot; StringCache::SLOTS]>,
}

#[derive(Clone, Copy)]
struct Slot {
    string: usize,
    text: Text,
    encoding: i32,
    distinct: bool,
    hits: u8,
}

#[derive(Clone, Copy)]
enum Text {
    Static(&'static str),
    Shared(ArenaText),
}

impl Default for StringCache {
    fn default() -> Self {
        Self {
            slots: Box::new([Slot::EMPTY; Self::SLOTS]),
        }
    }
}

impl Slot {
    const EMPTY: Self = Self {
        string: 0,
        text: Text::Static(""),
        encoding: -1,
        distinct: false,
        hits: 0,
    };
}

impl StringCache {
    const SLOTS: usize = 512;
    /// Number of times that a text is found before it becomes static.
    const HITS: u8 = 20;

    /// Returns the text of a frozen String, and whether it is distinct, as in [`super::text::Text`].
    #[inline]
    pub fn get(
        &mut self,
        string: RString,
        facts: StringFacts,
        arena: &mut TextArena,
    ) -> Option<(BytesString, bool)> {
        let slot = &mut self.slots[index(string)];
        if slot.string != address(string.as_value()) || slot.encoding != facts.encoding() {
            return None;
        }
        match slot.text {
            Text::Static(text) => {
                has_text(string, text).then(|| (BytesString::from_static(text), slot.distinct))
            }
            Text::Shared(place) => {
                let text = arena.get(place).filter(|text| has_text(string, text))?;
                slot.hits += 1;
                if slot.hits == Self::HITS {
                    if let Some(text) = make_static(text) {
                        slot.text = Text::Static(text);
                        return Some((BytesString::from_static(text), slot.distinct));
                    }
                    slot.hits = 0;
                }
                Some((arena.share(place)?, slot.distinct))
            }
        }
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
        let Some(place) = arena.place_of(text) else {
            return;
        };
        let slot = &mut self.slots[index(string)];
        let string = address(string.as_value());
        // A block that was full is no reason to begin to count anew.
        let hits = match slot.string == string {
            true => slot.hits,
            false => 0,
        };
        *slot = Slot {
            string,
            text: Text::Shared(place),
            encoding: facts.encoding(),
            distinct,
            hits,
        };
    }
}

/// Objects stand at multiples of 8.
#[inline]
fn index(string: RString) -> usize {
    (address(string.as_value()) >> 3) % StringCache::SLOTS
}
