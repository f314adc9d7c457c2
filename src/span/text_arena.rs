//! Storage for the text of spans: many strings share one block of memory.
//!
//! A [`BytesString`] of its own costs two allocations; a span of ten tags has some 24 strings. Here each is a view
//! into a block, which is freed when the last of its strings is gone, on whichever thread that happens.

mod block;

use super::AGENT_MAX_BYTES;
use block::{BLOCK_BYTES, OpenBlock};
use libdd_tinybytes::BytesString;

pub use block::{Appended, ArenaText};

/// Longer strings have memory of their own.
const LONGEST_SHARED: usize = BLOCK_BYTES / 4;

/// Appends text to blocks of memory and hands out [`BytesString`]s that share them.
#[derive(Default)]
pub struct TextArena {
    open: Option<OpenBlock>,
    /// Bytes taken by all text so far, those left free at the end of blocks included.
    allocated: usize,
    /// The same when the span was begun that text is stored for.
    allocated_before: usize,
}

/// Why a text can't be stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TextError {
    /// It is longer than any agent takes, with what else the span has.
    TooLong,
    /// The system has no memory for it.
    OutOfMemory,
}

impl TextArena {
    /// Stores bytes as UTF-8, with U+FFFD in place of what is not, and tells whether that was needed.
    ///
    /// What is checked is the copy: the bytes may belong to a buffer that another thread or the kernel writes to.
    ///
    /// # Errors
    /// When the text is too long, or there is no memory for it.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(BytesString, bool), TextError> {
        match bytes.len() {
            0 => Ok((BytesString::default(), false)),
            1..=LONGEST_SHARED => match self.append(bytes) {
                Some(appended) => Ok((appended.share(), false)),
                None => Ok(self.put_repaired()),
            },
            _ => self.put_long(bytes),
        }
    }

    /// Stores bytes, if they are short and UTF-8, as nearly all are.
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) -> Option<Appended<'_>> {
        if !(1..=LONGEST_SHARED).contains(&bytes.len()) {
            return None;
        }
        if self
            .open
            .as_ref()
            .is_none_or(|open| open.room() < bytes.len())
        {
            self.open_block();
        }
        let appended = self.open.as_mut()?.append(bytes)?;
        self.allocated += bytes.len();
        Some(appended)
    }

    /// Tells where the text that was stored last stands, if it shares a block.
    pub fn place_of(&self, text: &BytesString) -> Option<ArenaText> {
        self.open.as_ref()?.place_of(text)
    }

    /// Returns the text at a place, unless the arena has moved on to another block.
    #[inline]
    pub fn get(&self, place: ArenaText) -> Option<&str> {
        self.open.as_ref()?.get(place)
    }

    /// Hands out one more reference to the text at a place, unless the arena has moved on to another block.
    #[inline]
    pub fn share(&mut self, place: ArenaText) -> Option<BytesString> {
        self.open.as_mut()?.share(place)
    }

    /// Begins with another span. Long texts are stored up to what an agent takes in one request.
    pub fn begin_span(&mut self) {
        self.allocated_before = self.allocated;
    }

    /// Number of bytes that all text so far has taken.
    pub fn allocated(&self) -> usize {
        self.allocated
    }

    #[cold]
    #[inline(never)]
    fn open_block(&mut self) {
        if let Some(full) = self.open.replace(OpenBlock::new()) {
            self.allocated += full.room();
        }
    }

    /// Stores what [`OpenBlock::append`] has just rejected, repaired.
    #[cold]
    #[inline(never)]
    fn put_repaired(&mut self) -> (BytesString, bool) {
        let rejected = self.open.as_ref().map_or(&[][..], OpenBlock::rejected);
        let repaired = String::from_utf8_lossy(rejected).into_owned();
        let shared = self.append(repaired.as_bytes()).map(Appended::share);
        (shared.unwrap_or_else(|| repaired.into()), true)
    }

    /// Stores a text that is too long for a block.
    #[cold]
    #[inline(never)]
    fn put_long(&mut self, bytes: &[u8]) -> Result<(BytesString, bool), TextError> {
        if self.allocated - self.allocated_before + bytes.len() > AGENT_MAX_BYTES {
            return Err(TextError::TooLong);
        }
        let mut copy = Vec::new();
        copy.try_reserve_exact(bytes.len())
            .map_err(|_| TextError::OutOfMemory)?;
        copy.extend_from_slice(bytes);
        let (text, repaired) = match String::from_utf8(copy) {
            Ok(text) => (text, false),
            Err(broken) => (repair_long(broken.as_bytes())?, true),
        };
        self.allocated += text.capacity();
        Ok((text.into(), repaired))
    }
}

/// Does the same as [`String::from_utf8_lossy`], which can't tell that there is no memory. What is repaired may take
/// three times the room.
fn repair_long(bytes: &[u8]) -> Result<String, TextError> {
    let parts = || {
        bytes
            .utf8_chunks()
            .map(|part| (part.valid(), !part.invalid().is_empty()))
    };
    let replacement = char::REPLACEMENT_CHARACTER;
    let len: usize = parts()
        .map(|(valid, is_broken)| valid.len() + usize::from(is_broken) * replacement.len_utf8())
        .sum();
    if len > AGENT_MAX_BYTES {
        return Err(TextError::TooLong);
    }
    let mut text = String::new();
    text.try_reserve_exact(len)
        .map_err(|_| TextError::OutOfMemory)?;
    for (valid, is_broken) in parts() {
        text.push_str(valid);
        if is_broken {
            text.push(replacement);
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
