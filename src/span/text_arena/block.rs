//! The memory that strings share, and the only unsafe code of spans.
//!
//! A block counts references atomically. To hand one out without touching that counter, who has it open takes a large
//! credit of references with it, spends it one by one, and returns what is left at the end.
#![allow(unsafe_code)]

use libdd_tinybytes::{Bytes, BytesString, RefCountedCell, RefCountedCellVTable};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// Bytes of text in a block. All of it stays until the last of its strings is gone.
pub const BLOCK_BYTES: usize = 32 * 1024;
/// References that come with a block: more than could ever be handed out.
const CREDIT: u64 = 1 << 62;

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
        self.open.reference(self.start, self.len)
    }
}

/// A block that text is still appended to.
pub struct OpenBlock {
    block: NonNull<Block>,
    /// Differs between all blocks of a process and its parents.
    id: u64,
    used: usize,
    /// References handed out of the credit.
    shared: u64,
    /// Where bytes stand that were copied last and are not UTF-8, as long as no text stands there.
    rejected: (usize, usize),
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
    pub fn new() -> Self {
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
            rejected: (0, 0),
        }
    }

    /// Number of bytes that can still be appended.
    #[inline]
    pub fn room(&self) -> usize {
        BLOCK_BYTES - self.used
    }

    #[inline]
    fn text(&self) -> NonNull<u8> {
        // SAFETY: the block is alive as long as the credit isn't returned.
        unsafe { NonNull::new_unchecked((&raw mut (*self.block.as_ptr()).text).cast()) }
    }

    /// Appends bytes that there must be room for; returns `None`, and takes no room, if they are not UTF-8.
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) -> Option<Appended<'_>> {
        let (start, len) = (self.used, bytes.len());
        assert!(len <= self.room());
        // SAFETY: there is room, which no text shares yet, and which does not overlap with anything else. What is
        // checked is what was copied.
        unsafe {
            let end = self.text().add(start).as_ptr();
            if !copy_ascii(bytes.as_ptr(), end, len)
                && str::from_utf8(std::slice::from_raw_parts(end, len)).is_err()
            {
                self.rejected = (start, len);
                return None;
            }
        }
        self.used += len;
        Some(Appended {
            open: self,
            start: start as u32,
            len: len as u32,
        })
    }

    /// Returns the bytes that [`OpenBlock::append`] has just rejected.
    pub fn rejected(&self) -> &[u8] {
        let (start, len) = self.rejected;
        let len = if start == self.used { len } else { 0 };
        // SAFETY: `append` has written these bytes, and nothing was written there since.
        unsafe { std::slice::from_raw_parts(self.text().as_ptr().add(self.used), len) }
    }

    /// Tells where a text stands, if it does in this block.
    pub fn place_of(&self, text: &BytesString) -> Option<ArenaText> {
        let (text, len) = (text.as_str().as_ptr().addr(), text.as_str().len());
        let start = text.checked_sub(self.text().as_ptr().addr())?;
        (start + len <= self.used).then_some(ArenaText {
            block: self.id,
            start: start as u32,
            len: len as u32,
        })
    }

    /// Returns the text at a place, if that is in this block.
    #[inline]
    pub fn get(&self, place: ArenaText) -> Option<&str> {
        if place.block != self.id {
            return None;
        }
        // SAFETY: a place of this block was made by `place_of` of a text in it, which nobody writes to any more.
        unsafe {
            let start = self.text().add(place.start as usize).as_ptr();
            let bytes = std::slice::from_raw_parts(start, place.len as usize);
            Some(str::from_utf8_unchecked(bytes))
        }
    }

    /// Hands out one more reference to the text at a place, if that is in this block.
    #[inline]
    pub fn share(&mut self, place: ArenaText) -> Option<BytesString> {
        (place.block == self.id).then(|| self.reference(place.start, place.len))
    }

    /// Hands out a reference to bytes, which must be a text: one that was just appended, or that of a place.
    #[inline(always)]
    fn reference(&mut self, start: u32, len: u32) -> BytesString {
        self.shared += 1;
        // SAFETY: the text is UTF-8, and stays where it is until the reference, which is paid from the credit, is
        // dropped.
        unsafe {
            let cell = RefCountedCell::from_raw(self.block.cast(), &VTABLE);
            let start = self.text().add(start as usize);
            BytesString::from_bytes_unchecked(Bytes::from_raw_refcount(start, len as usize, cell))
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
