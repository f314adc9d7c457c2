//! Text storage: the many short strings of a trace stand one after the other in one allocation.
//!
//! A string of its own costs two allocations and a copy; a span of ten tags has some 24 strings.

use std::mem::MaybeUninit;

/// Where a string stands in the [`Texts`] that it was put into: its first byte in the low half, its length in
/// the high one. In one word it stays in a register; written as two halves and read as one, it would have to
/// wait for the memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slice(u64);

impl Slice {
    #[inline]
    fn new(start: u32, length: u32) -> Self {
        Self(u64::from(length) << 32 | u64::from(start))
    }

    #[inline]
    fn start(self) -> usize {
        self.0 as u32 as usize
    }

    #[inline]
    pub fn length(self) -> usize {
        (self.0 >> 32) as usize
    }
}

/// Strings, up to 4 GiB together.
#[derive(Debug, Default)]
pub struct Texts {
    text: String,
    overflowed: bool,
}

impl Texts {
    #[inline]
    pub fn push(&mut self, text: &str) -> Slice {
        let start = self.text.len();
        self.text.push_str(text);
        self.slice_from(start)
    }

    /// Makes room for more bytes.
    pub fn reserve(&mut self, bytes: usize) {
        self.text.reserve(bytes);
    }

    /// Puts in what should be UTF-8, with U+FFFD for what is not, and tells whether that was needed.
    ///
    /// What is looked at is what was copied: the bytes may belong to a buffer that changes meanwhile.
    #[inline(always)]
    pub fn push_bytes(&mut self, bytes: &[u8]) -> (Slice, bool) {
        let start = self.text.len();
        self.text.reserve(bytes.len());
        // SAFETY: what stood there stays, and what is added is UTF-8 or taken away again before
        // anybody else sees it. `copy` has written all of the bytes that the length then covers.
        let (buffer, is_ascii) = unsafe {
            let buffer = self.text.as_mut_vec();
            let is_ascii = copy(bytes, &mut buffer.spare_capacity_mut()[..bytes.len()]);
            buffer.set_len(start + bytes.len());
            (buffer, is_ascii)
        };
        if is_ascii || str::from_utf8(&buffer[start..]).is_ok() {
            return (self.slice_from(start), false);
        }
        let broken = buffer.split_off(start);
        (self.repaired(&broken), true)
    }

    #[cold]
    fn repaired(&mut self, broken: &[u8]) -> Slice {
        self.push(&String::from_utf8_lossy(broken))
    }

    /// Puts in all of another, and returns how far its strings have moved.
    pub fn append(&mut self, other: &Self) -> Offset {
        let start = self.text.len();
        self.text.push_str(&other.text);
        self.overflowed |= other.overflowed;
        self.slice_from(start);
        Offset(if self.overflowed { 0 } else { start as u32 })
    }

    #[inline]
    pub fn get(&self, slice: Slice) -> &str {
        let start = slice.start();
        // An overflow is the one thing that leaves a slice without its text.
        self.text
            .get(start..start + slice.length())
            .unwrap_or_default()
    }

    /// Takes out all that was put in since there were so many bytes.
    pub fn truncate(&mut self, bytes: usize) {
        self.text.truncate(bytes);
    }

    /// All strings, one after the other.
    pub fn into_string(self) -> String {
        self.text
    }

    pub fn clear(&mut self) {
        self.text.clear();
        self.overflowed = false;
    }

    /// Bytes of all strings.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Bytes allocated.
    pub fn capacity(&self) -> usize {
        self.text.capacity()
    }

    /// Whether there was more text than 4 GiB since this was asked, some of which is missing then.
    pub fn take_overflowed(&mut self) -> bool {
        std::mem::take(&mut self.overflowed)
    }

    /// A copy without spare room.
    pub fn to_exact(&self) -> Self {
        Self {
            text: self.text.as_str().to_owned(),
            overflowed: self.overflowed,
        }
    }

    #[inline]
    fn slice_from(&mut self, start: usize) -> Slice {
        if self.text.len() > u32::MAX as usize {
            self.text.truncate(start);
            self.overflowed = true;
            return Slice::default();
        }
        Slice::new(start as u32, (self.text.len() - start) as u32)
    }
}

/// Copies bytes into room of just their size, and tells whether they are ASCII. Made for a few of them, and for
/// looking at what is on its way rather than at what has only just been written.
#[inline(always)]
fn copy(from: &[u8], to: &mut [MaybeUninit<u8>]) -> bool {
    const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
    let all = match from.len() {
        0..4 => from.iter().zip(to).fold(0, |all, (&byte, to)| {
            to.write(byte);
            all | u64::from(byte)
        }),
        4..8 => copy_ends(from, to, |bytes| u32::from_ne_bytes(bytes).into()),
        8..16 => copy_ends(from, to, u64::from_ne_bytes),
        16..32 => copy_ends(from, to, two_words),
        _ => {
            let chunks = from.as_chunks().0.iter().zip(to.as_chunks_mut().0);
            let all = chunks.fold(0, |all, (from, to)| all | copy_chunk(from, to, two_words));
            all | copy_ends(from, to, two_words)
        }
    };
    all & HIGH_BITS == 0
}

fn two_words(bytes: [u8; 16]) -> u64 {
    let both = u128::from_ne_bytes(bytes);
    both as u64 | (both >> 64) as u64
}

/// Copies the first and the last bytes, which may overlap, and returns all bits that `bits` finds set in them.
#[inline(always)]
fn copy_ends<const N: usize>(
    from: &[u8],
    to: &mut [MaybeUninit<u8>],
    bits: impl Fn([u8; N]) -> u64 + Copy,
) -> u64 {
    let mut all = 0;
    if let (Some(from), Some(to)) = (from.first_chunk(), to.first_chunk_mut()) {
        all |= copy_chunk(from, to, bits);
    }
    if let (Some(from), Some(to)) = (from.last_chunk(), to.last_chunk_mut()) {
        all |= copy_chunk(from, to, bits);
    }
    all
}

#[inline(always)]
fn copy_chunk<const N: usize>(
    from: &[u8; N],
    to: &mut [MaybeUninit<u8>; N],
    bits: impl Fn([u8; N]) -> u64,
) -> u64 {
    let bytes = *from;
    *to = bytes.map(MaybeUninit::new);
    bits(bytes)
}

/// How far [`Texts::append`] has moved the strings of another.
#[derive(Clone, Copy)]
pub struct Offset(u32);

impl Offset {
    pub fn moved(self, slice: Slice) -> Slice {
        let start = (slice.start() as u32).wrapping_add(self.0);
        Slice::new(start, slice.length() as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_keep_their_text_whatever_is_put_in_after_them() {
        let mut texts = Texts::default();
        let words: Vec<String> = (0..5_000)
            .map(|i| format!("{i}é").repeat(i % 300))
            .collect();
        let slices: Vec<Slice> = words.iter().map(|word| texts.push(word)).collect();
        for (word, slice) in words.iter().zip(slices) {
            assert_eq!(texts.get(slice), word);
        }
    }

    #[test]
    fn broken_bytes_are_replaced_and_leave_the_neighbours_whole() {
        let mut texts = Texts::default();
        let first = texts.push("é");
        assert!(!texts.push_bytes(b"ok").1);
        // The first byte of a character, whose second is the first of what follows.
        let (broken, repaired) = texts.push_bytes(b"a\xc3");
        let last = texts.push("z");
        assert!(repaired);
        let all = [first, broken, last].map(|slice| texts.get(slice));
        assert_eq!(all, ["é", "a\u{fffd}", "z"]);
    }

    #[test]
    fn ascii_is_told_from_the_rest_wherever_it_stands() {
        let pushed = |bytes: &[u8]| {
            let mut texts = Texts::default();
            let (slice, repaired) = texts.push_bytes(bytes);
            (texts.get(slice).as_bytes().to_vec(), repaired)
        };
        for length in 0..140u8 {
            let mut bytes: Vec<u8> = (0..length).map(|place| place % 128).collect();
            assert_eq!(pushed(&bytes), (bytes.clone(), false));
            for place in 0..bytes.len() {
                let was = std::mem::replace(&mut bytes[place], 0x80);
                assert!(pushed(&bytes).1, "{place} of {length}");
                bytes[place] = was;
            }
        }
    }

    #[test]
    fn strings_are_found_after_they_were_moved() {
        let mut other = Texts::default();
        let name = other.push("name");
        let mut texts = Texts::default();
        texts.push("something");
        let offset = texts.append(&other);
        assert_eq!(texts.get(offset.moved(name)), "name");
    }
}
