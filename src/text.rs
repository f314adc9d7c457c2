//! Text storage: the many short strings of a trace stand one after the other in one allocation.
//!
//! A string of its own costs two allocations and a copy; a span of ten tags has some 24 strings.

/// Where a string stands in the [`Texts`] that it was put into.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Slice {
    start: u32,
    length: u32,
}

impl Slice {
    pub fn length(self) -> usize {
        self.length as usize
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

    /// Puts in what should be UTF-8, with U+FFFD for what is not, and tells whether that was needed.
    ///
    /// The bytes are copied before they are looked at: they may belong to a buffer that changes
    /// meanwhile.
    #[inline]
    pub fn push_bytes(&mut self, bytes: &[u8]) -> (Slice, bool) {
        let start = self.text.len();
        // SAFETY: what stood there stays, and what is added is UTF-8 or taken away again before
        // anybody else sees it. Should adding panic, nothing was added.
        let buffer = unsafe { self.text.as_mut_vec() };
        buffer.extend_from_slice(bytes);
        let added = &buffer[start..];
        if is_ascii(added) || str::from_utf8(added).is_ok() {
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
        let start = slice.start as usize;
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

    /// Whether there was more text than 4 GiB, some of which is missing then.
    pub fn overflowed(&self) -> bool {
        self.overflowed
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
        Slice {
            start: start as u32,
            length: (self.text.len() - start) as u32,
        }
    }
}

/// As `<[u8]>::is_ascii`, but made for a few bytes.
#[inline]
fn is_ascii(bytes: &[u8]) -> bool {
    const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
    let Some((words, last)) = bytes
        .last_chunk()
        .map(|last| (bytes.as_chunks::<8>().0, last))
    else {
        return bytes.iter().fold(0, |all, byte| all | byte) < 0x80;
    };
    // The last word overlaps the one before it.
    let all = words.iter().fold(u64::from_ne_bytes(*last), |all, word| {
        all | u64::from_ne_bytes(*word)
    });
    all & HIGH_BITS == 0
}

/// How far [`Texts::append`] has moved the strings of another.
#[derive(Clone, Copy)]
pub struct Offset(u32);

impl Offset {
    pub fn moved(self, slice: Slice) -> Slice {
        Slice {
            start: slice.start.wrapping_add(self.0),
            length: slice.length,
        }
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
        for length in 0..40 {
            let mut bytes = vec![b'a'; length];
            assert!(is_ascii(&bytes));
            for place in 0..length {
                bytes[place] = 0x80;
                assert!(!is_ascii(&bytes), "{place} of {length}");
                bytes[place] = b'a';
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
