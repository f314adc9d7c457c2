//! Text storage: the many short strings of a span share a few blocks.
//!
//! A string of its own costs two allocations and a copy; a span of ten tags has some 24 strings.
//! [`TextArena::store`] copies each to the end of the current block instead and returns a
//! [`BytesString`] that keeps the whole block alive. All strings of a block belong to one span or
//! one chunk, so they die together and no single string keeps a block alive for long.

use libdd_tinybytes::{Bytes, BytesString, RefCountedCell, UnderlyingBytes};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

const FIRST_BLOCK: usize = 512;
const LARGEST_BLOCK: usize = 16 * 1024;
/// A string longer than this gets an allocation of its own, so that the rest of a block is not
/// wasted on it.
const LARGEST_SHARED: usize = 1024;

/// Hands out strings that share blocks of memory.
#[derive(Default)]
pub struct TextArena {
    block: Option<Block>,
    memory: usize,
}

/// The block that is being filled: bytes below `used` are handed out and never written again,
/// bytes from there on are reachable through this struct alone.
struct Block {
    owner: RefCountedCell,
    start: NonNull<u8>,
    used: usize,
    capacity: usize,
}

// SAFETY: `start` points into memory that `owner` (Send + Sync) keeps alive; the part that is
// still written to is reachable through this value alone.
unsafe impl Send for Block {}

impl TextArena {
    /// Copies `text` into the arena.
    pub fn store(&mut self, text: &str) -> BytesString {
        if text.is_empty() {
            return BytesString::default();
        }
        if text.len() > LARGEST_SHARED {
            self.memory += text.len();
            return BytesString::from_string(text.to_owned());
        }
        match &mut self.block {
            Some(block) if block.capacity - block.used >= text.len() => block.push(text),
            full_or_none => {
                let capacity = full_or_none
                    .as_ref()
                    .map_or(FIRST_BLOCK, |block| (block.capacity * 2).min(LARGEST_BLOCK));
                let block = full_or_none.insert(Block::new(capacity.max(text.len())));
                self.memory += block.capacity;
                block.push(text)
            }
        }
    }

    /// Bytes that this arena has allocated, in total. They are freed with the last string.
    pub fn memory(&self) -> usize {
        self.memory
    }
}

impl Block {
    fn new(capacity: usize) -> Self {
        let memory = BlockMemory::new(capacity);
        let start = memory.start;
        let (_, _, owner) = Bytes::from_underlying(memory).into_raw();
        Self {
            // `from_underlying` always counts references.
            owner: owner.unwrap_or_else(|| unreachable!("an owned buffer without a count")),
            start,
            used: 0,
            capacity,
        }
    }

    fn push(&mut self, text: &str) -> BytesString {
        assert!(text.len() <= self.capacity - self.used);
        // SAFETY: the assertion keeps the write within the allocation, which `owner` keeps alive
        // and which no reference covers; bytes from `used` on have not been handed out, so nobody
        // reads them while they are written, and `used` moves past them before anybody can. The
        // bytes are those of a `str`, hence UTF-8.
        unsafe {
            let slot = self.start.add(self.used);
            slot.copy_from_nonoverlapping(
                NonNull::new_unchecked(text.as_ptr().cast_mut()),
                text.len(),
            );
            self.used += text.len();
            BytesString::from_bytes_unchecked(Bytes::from_raw_refcount(
                slot,
                text.len(),
                self.owner.clone(),
            ))
        }
    }
}

/// An allocation that is freed when the last string in it is dropped.
struct BlockMemory {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: it is a plain allocation; see `Block` for who may write to it.
unsafe impl Send for BlockMemory {}
// SAFETY: as above; it has no method that reads or writes the memory.
unsafe impl Sync for BlockMemory {}

impl BlockMemory {
    fn new(capacity: usize) -> Self {
        assert!(capacity > 0);
        let layout = Layout::array::<u8>(capacity).unwrap_or_else(|_| unreachable!("block size"));
        // SAFETY: the layout is not empty.
        let start = NonNull::new(unsafe { alloc(layout) });
        Self {
            start: start.unwrap_or_else(|| handle_alloc_error(layout)),
            layout,
        }
    }
}

impl AsRef<[u8]> for BlockMemory {
    /// Empty on purpose: a slice over the block would alias the part that is still written to.
    fn as_ref(&self) -> &[u8] {
        &[]
    }
}

impl UnderlyingBytes for BlockMemory {}

impl Drop for BlockMemory {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout, and freed once.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_keep_their_text_whatever_is_stored_after_them() {
        let mut arena = TextArena::default();
        let texts: Vec<String> = (0..5_000)
            .map(|i| format!("{i}é").repeat(i % 300))
            .collect();
        let stored: Vec<BytesString> = texts.iter().map(|text| arena.store(text)).collect();
        drop(arena);
        for (text, stored) in texts.iter().zip(&stored) {
            assert_eq!(stored.as_str(), text);
        }
    }

    #[test]
    fn strings_outlive_their_neighbours_on_other_threads() {
        let mut arena = TextArena::default();
        let kept = arena.store("kept");
        let dropped = arena.store("dropped");
        let reader = std::thread::spawn(move || drop(dropped));
        let later = arena.store("later");
        drop(arena);
        reader.join().unwrap();
        assert_eq!((kept.as_str(), later.as_str()), ("kept", "later"));
    }

    #[test]
    fn memory_is_charged_once_a_block() {
        let mut arena = TextArena::default();
        let _strings: Vec<BytesString> = (0..10).map(|_| arena.store("0123456789")).collect();
        assert_eq!(arena.memory(), FIRST_BLOCK);
        let _long = arena.store(&"x".repeat(LARGEST_SHARED + 1));
        assert_eq!(arena.memory(), FIRST_BLOCK + LARGEST_SHARED + 1);
    }
}
