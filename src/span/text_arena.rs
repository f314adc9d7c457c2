//! Storage for the text of spans: many strings share one block of memory.
//!
//! A [`BytesString`] of its own costs two allocations; a span of ten tags has some 24 strings. Here each is a view
//! into a block, which is freed when the last of its strings is gone, on whichever thread that happens.
//!
//! A block counts references atomically. To hand one out without touching that counter, the arena takes a large
//! credit of references when it opens a block, spends it one by one, and returns what is left when it moves on.
#![allow(unsafe_code)]

use super::AGENT_MAX_BYTES;
use libdd_tinybytes::{Bytes, BytesString, RefCountedCell, RefCountedCellVTable};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// Bytes of text in a block. All of it stays until the last of its strings is gone.
const BLOCK_BYTES: usize = 32 * 1024;
/// Longer strings have memory of their own.
const LONGEST_SHARED: usize = BLOCK_BYTES / 4;
/// References that an arena holds of a block that it has opened: more than it could ever hand out.
const CREDIT: u64 = 1 << 62;

/// Appends text to blocks of memory and hands out [`BytesString`]s that share them.
#[derive(Default)]
pub struct TextArena {
    open: Option<OpenBlock>,
    /// Bytes taken by all text so far, those left free at the end of blocks included.
    allocated: usize,
    /// The same when the span was begun that text is stored for.
    allocated_before: usize,
}

/// Where a text stands in the block that an arena has open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ArenaText {
    block: u64,
    start: u32,
    len: u32,
}

/// A text that was just stored, and to which a reference is yet to be handed out.
///
/// It fits into two registers, while a [`BytesString`] goes through memory.
pub struct Appended<'a> {
    open: &'a mut OpenBlock,
    start: u32,
    len: u32,
}

impl Appended<'_> {
    /// Hands out the reference.
    #[inline(always)]
    pub fn share(self) -> BytesString {
        self.open.share(self.start as usize, self.len as usize)
    }
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
                None => Ok(self.put_repaired(bytes.len())),
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
        let open = self.open.as_mut()?;
        let start = open.append(bytes)?;
        self.allocated += bytes.len();
        Some(Appended {
            open,
            start: start as u32,
            len: bytes.len() as u32,
        })
    }

    /// Tells where the text that was stored last stands, if it shares a block.
    pub fn place_of(&self, text: &BytesString) -> Option<ArenaText> {
        let open = self.open.as_ref()?;
        let start = (text.as_str().as_ptr() as usize).checked_sub(open.text().as_ptr() as usize)?;
        (start + text.as_str().len() <= open.used).then_some(ArenaText {
            block: open.id,
            start: start as u32,
            len: text.as_str().len() as u32,
        })
    }

    /// Returns the text at a place, unless the arena has moved on to another block.
    #[inline]
    pub fn get(&self, place: ArenaText) -> Option<&str> {
        let open = self.open.as_ref().filter(|open| open.id == place.block)?;
        Some(open.str(place.start as usize, place.len as usize))
    }

    /// Hands out one more reference to the text at a place, unless the arena has moved on to another block.
    #[inline]
    pub fn share(&mut self, place: ArenaText) -> Option<BytesString> {
        let open = self.open.as_mut().filter(|open| open.id == place.block)?;
        Some(open.share(place.start as usize, place.len as usize))
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

    /// Stores a text of some bytes that [`OpenBlock::append`] has copied and rejected.
    #[cold]
    #[inline(never)]
    fn put_repaired(&mut self, bytes: usize) -> (BytesString, bool) {
        let open = self.open.as_ref();
        let repaired = open.map_or_else(String::new, |open| {
            String::from_utf8_lossy(open.rejected(bytes)).into_owned()
        });
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

/// A block that text is still appended to.
pub struct OpenBlock {
    block: NonNull<Block>,
    /// Differs between all blocks of a process and its parents.
    id: u64,
    used: usize,
    /// References handed out of the credit.
    shared: u64,
}

// SAFETY: an `OpenBlock` is a pointer to memory that only it appends to; the counter that others share is atomic.
unsafe impl Send for OpenBlock {}

/// The memory of a block.
#[repr(C)]
struct Block {
    references: AtomicU64,
    text: [u8; BLOCK_BYTES],
}

const VTABLE: RefCountedCellVTable = RefCountedCellVTable {
    clone: clone_reference,
    drop: drop_reference,
};

impl OpenBlock {
    fn new() -> Self {
        static IDS: AtomicU64 = AtomicU64::new(0);
        let layout = Layout::new::<Block>();
        // SAFETY: the layout has a size, and the counter is written before it is read. The text is written before it
        // is shared.
        let block = unsafe {
            let Some(block) = NonNull::new(alloc(layout).cast::<Block>()) else {
                handle_alloc_error(layout)
            };
            (&raw mut (*block.as_ptr()).references).write(AtomicU64::new(CREDIT));
            block
        };
        Self {
            block,
            id: IDS.fetch_add(1, Ordering::Relaxed),
            used: 0,
            shared: 0,
        }
    }

    #[inline]
    fn room(&self) -> usize {
        BLOCK_BYTES - self.used
    }

    #[inline]
    fn text(&self) -> NonNull<u8> {
        // SAFETY: the block is alive as long as the credit isn't returned.
        unsafe { NonNull::new_unchecked((&raw mut (*self.block.as_ptr()).text).cast()) }
    }

    #[inline]
    fn str(&self, start: usize, len: usize) -> &str {
        // SAFETY: `start` and `len` are of a text that `append` has checked and that nobody writes to any more: they
        // come from it, or from an `ArenaText` of this block, which `place_of` makes of such a text only.
        unsafe {
            let bytes = std::slice::from_raw_parts(self.text().add(start).as_ptr(), len);
            str::from_utf8_unchecked(bytes)
        }
    }

    /// Appends bytes that there must be room for, and returns where they begin; `None`, and takes no room, if they are
    /// not UTF-8.
    #[inline]
    fn append(&mut self, bytes: &[u8]) -> Option<usize> {
        let (start, len) = (self.used, bytes.len());
        assert!(len <= self.room());
        // SAFETY: there is room, which no text shares yet, and which does not overlap with anything else. What is
        // checked is what was copied.
        unsafe {
            let end = self.text().add(start).as_ptr();
            if !copy_ascii(bytes.as_ptr(), end, len)
                && str::from_utf8(std::slice::from_raw_parts(end, len)).is_err()
            {
                return None;
            }
        }
        self.used += len;
        Some(start)
    }

    /// Returns the bytes that [`OpenBlock::append`] has just copied and rejected.
    fn rejected(&self, len: usize) -> &[u8] {
        assert!(len <= self.room());
        // SAFETY: `append` has written these bytes, behind all text.
        unsafe { std::slice::from_raw_parts(self.text().as_ptr().add(self.used), len) }
    }

    /// Hands out a reference to a text, as for [`OpenBlock::str`].
    #[inline(always)]
    fn share(&mut self, start: usize, len: usize) -> BytesString {
        self.shared += 1;
        // SAFETY: the text is UTF-8, and stays where it is until the reference, which is paid from the credit, is
        // dropped.
        unsafe {
            let cell = RefCountedCell::from_raw(self.block.cast(), &VTABLE);
            let bytes = Bytes::from_raw_refcount(self.text().add(start), len, cell);
            BytesString::from_bytes_unchecked(bytes)
        }
    }
}

/// Copies bytes, and returns whether all that was written is ASCII.
///
/// They are looked at on their way: reading back what was just written, in other pieces, stalls the processor for
/// longer than the copy takes.
///
/// # Safety
/// `from` must be readable and `to` writable for `len` bytes, and they must not overlap. The bytes at `from` may change
/// meanwhile.
#[inline(always)]
unsafe fn copy_ascii(from: *const u8, to: *mut u8, len: usize) -> bool {
    /// Copies a word, and adds its bits to those seen.
    macro_rules! copy {
        ($word:ty, $at:expr, $seen:ident) => {
            let word = from.add($at).cast::<$word>().read_unaligned();
            to.add($at).cast::<$word>().write_unaligned(word);
            $seen |= word as u64;
        };
    }
    const NOT_ASCII: u64 = 0x8080_8080_8080_8080;
    let mut seen = 0;
    // SAFETY: each word lies within the `len` bytes. One may overlap with the one before; what it writes there is what
    // is looked at.
    unsafe {
        match len {
            8.. => {
                let mut at = 0;
                // Two at a time: of a loop over single words the compiler makes a call of `memcpy`, and reads all again.
                while at + 16 < len {
                    copy!(u64, at, seen);
                    copy!(u64, at + 8, seen);
                    at += 16;
                }
                if at + 8 < len {
                    copy!(u64, at, seen);
                }
                copy!(u64, len - 8, seen);
            }
            4.. => {
                copy!(u32, 0, seen);
                copy!(u32, len - 4, seen);
            }
            1.. => {
                copy!(u8, 0, seen);
                copy!(u8, len / 2, seen);
                copy!(u8, len - 1, seen);
            }
            0 => {}
        }
    }
    seen & NOT_ASCII == 0
}

impl Drop for OpenBlock {
    fn drop(&mut self) {
        release(self.block, CREDIT - self.shared);
    }
}

unsafe fn clone_reference(block: NonNull<()>) -> RefCountedCell {
    // SAFETY: called with the block of a reference that is alive. No reference is made to its text, which may be
    // written to.
    unsafe {
        let counter = &raw const (*block.cast::<Block>().as_ptr()).references;
        (*counter).fetch_add(1, Ordering::Relaxed);
    }
    // SAFETY: a block may be shared and dropped by any thread, and was just counted.
    unsafe { RefCountedCell::from_raw(block, &VTABLE) }
}

unsafe fn drop_reference(block: NonNull<()>) {
    release(block.cast(), 1);
}

/// Gives references back, which are the caller's, and frees the block with the last one.
fn release(block: NonNull<Block>, references: u64) {
    // SAFETY: the block is alive until the last reference is given back. As in std's `Arc`, the fence orders all use of
    // the block before its end.
    unsafe {
        let counter = &raw const (*block.as_ptr()).references;
        if (*counter).fetch_sub(references, Ordering::Release) == references {
            fence(Ordering::Acquire);
            dealloc(block.as_ptr().cast(), Layout::new::<Block>());
        }
    }
}

#[cfg(test)]
mod tests;
