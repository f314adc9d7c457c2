//! Reading the entries of a Hash from where Ruby keeps them. Its API has a call for each entry, which costs more than
//! most of what is done with the entry, and can't tell where the entries are before they are read.

use crate::ruby::{address, each_pair};
use magnus::rb_sys::FromRawValue;
use magnus::value::ReprValue;
use magnus::{Error, RHash, Ruby, Value};
use std::sync::atomic::{AtomicUsize, Ordering};

type Word = rb_sys::VALUE;

/// How ordinary Hashes tell their keys apart; 0 until [`check`] has found the entries where they should be.
static BY_CONTENT: AtomicUsize = AtomicUsize::new(0);

/// The entries of a Hash, in their order. Valid until Ruby code runs, objects are moved, or the Hash is changed.
#[derive(Clone, Copy)]
pub struct Entries {
    first: *const Word,
    /// Number of entries, deleted ones among them.
    count: usize,
    form: Form,
    /// How the keys are told apart: an address that stands for it. Small ones do it as ordinary Hashes do.
    comparison: Option<usize>,
}

/// What an entry is, in words.
#[derive(Clone, Copy)]
struct Form {
    size: usize,
    /// Index of the key, which the value comes after.
    key: usize,
    /// What stands first in an entry that was deleted.
    deleted: Word,
}

impl Form {
    /// Key and value.
    const SMALL: Self = Self {
        size: 2,
        key: 0,
        deleted: rb_sys::Qundef as Word,
    };
    /// Hash value, key and value.
    const LARGE: Self = Self {
        size: 3,
        key: 1,
        deleted: Word::MAX,
    };
}

impl Entries {
    /// `None` in Rubies of which it is not known where they are.
    #[inline(always)]
    pub fn of(hash: RHash) -> Option<Self> {
        if BY_CONTENT.load(Ordering::Relaxed) == 0 {
            return None;
        }
        // SAFETY: `check` has found that this Ruby has them there.
        unsafe { layout::entries(hash) }
    }

    /// Whether no two keys can be equal, as they may be in a Hash that compares by identity.
    #[inline(always)]
    pub fn has_distinct_keys(&self) -> bool {
        let by_content = BY_CONTENT.load(Ordering::Relaxed);
        self.comparison.is_none_or(|kind| kind == by_content)
    }

    /// The memory that tells where the entries of a Hash are, which stand near. The Hash is looked at, not the table.
    #[inline(always)]
    pub fn table_address(hash: RHash) -> usize {
        /// Of a large table what is read stands around this byte.
        const MIDDLE: usize = std::mem::offset_of!(rb_sys::st_table, entries_bound);
        layout::table(hash).addr() + MIDDLE
    }

    /// The memory that the entries are in, from the first address to behind the last.
    #[inline(always)]
    pub fn addresses(&self) -> std::ops::Range<usize> {
        let first = self.first.addr();
        first..first + self.count * self.form.size * size_of::<Word>()
    }

    /// Calls `each` with every key and value until it returns false.
    ///
    /// # Safety
    /// `each` must call nothing of Ruby.
    #[inline(always)]
    pub unsafe fn each(self, mut each: impl FnMut(Value, Value) -> bool) {
        for index in 0..self.count {
            // SAFETY: there are so many entries, and nothing changes them; keys and values are live as
            // long as the Hash is.
            let (key, value) = unsafe {
                let entry = self.first.add(index * self.form.size);
                if *entry == self.form.deleted {
                    continue;
                }
                let key = entry.add(self.form.key);
                (Value::from_raw(*key), Value::from_raw(*key.add(1)))
            };
            if !each(key, value) {
                return;
            }
        }
    }
}

/// Finds out whether this Ruby has the entries of Hashes where they are looked for.
///
/// # Errors
/// When there is no memory for some Hashes.
pub fn check(ruby: &Ruby) -> Result<(), Error> {
    // Small ones hold up to 8.
    for size in [0, 1, 7, 8, 9, 30] {
        for deleted in [None, Some(0), Some(5)] {
            let hash = filled(ruby, size)?;
            if let Some(key) = deleted {
                hash.delete::<_, Value>(key)?;
            }
            if read_as_ruby_does(hash)?.is_none() {
                return Ok(());
            }
        }
    }
    let large = read_as_ruby_does(filled(ruby, 30)?)?;
    let by_identity = filled(ruby, 3)?;
    // An application may have redefined it.
    if by_identity
        .funcall::<_, _, Value>("compare_by_identity", ())
        .is_err()
    {
        return Ok(());
    }
    let by_identity = read_as_ruby_does(by_identity)?;
    let comparison = |entries: Option<Entries>| entries?.comparison;
    match (comparison(large), comparison(by_identity)) {
        (Some(by_content), Some(by_identity)) if by_content != by_identity => {
            BY_CONTENT.store(by_content, Ordering::Relaxed);
        }
        _ => {}
    }
    Ok(())
}

fn filled(ruby: &Ruby, size: i64) -> Result<RHash, Error> {
    let hash = ruby.hash_new();
    (0..size).try_for_each(|key| hash.aset(key, -key))?;
    Ok(hash)
}

/// The entries, if they are the same that Ruby gives out.
fn read_as_ruby_does(hash: RHash) -> Result<Option<Entries>, Error> {
    let mut expected = Vec::new();
    each_pair(hash, |key, value| {
        expected.push([key, value].map(address));
        true
    })?;
    let mut read = Vec::new();
    // SAFETY: nothing of Ruby is called.
    let entries = unsafe { layout::entries(hash) };
    if let Some(entries) = entries {
        let each = |key, value| {
            read.push([key, value].map(address));
            true
        };
        // SAFETY: as above.
        unsafe { entries.each(each) };
    }
    Ok(entries.filter(|_| read == expected))
}

/// Ruby 3.1 to 3.4: `struct RHash` in their `internal/hash.h`, `ar_table_struct` in the same file or in `hash.c`,
/// `st_table_entry` in `st.c`.
#[cfg(all(
    any(ruby_3_1, ruby_3_2, ruby_3_3, ruby_3_4),
    target_pointer_width = "64"
))]
mod layout {
    use super::{Entries, Form, Word};
    use magnus::RHash;
    use magnus::rb_sys::AsRawValue;

    /// Where the flags that types may use for themselves begin (`FL_USHIFT`).
    const SHIFT: u32 = rb_sys::ruby_fl_ushift::RUBY_FL_USHIFT as u32;
    /// `RHASH_ST_TABLE_FLAG`
    const IS_LARGE: Word = 1 << (SHIFT + 3);
    /// `RHASH_AR_TABLE_BOUND_MASK` and `RHASH_AR_TABLE_BOUND_SHIFT`
    const COUNT_SHIFT: u32 = SHIFT + 8;
    const COUNT_MASK: Word = 15;

    #[inline(always)]
    fn header(hash: RHash) -> *const rb_sys::RBasic {
        hash.as_raw() as *const rb_sys::RBasic
    }

    /// The table is apart from the Hash; none when it was never filled.
    #[cfg(any(ruby_3_1, ruby_3_2))]
    #[inline(always)]
    pub fn table(hash: RHash) -> *const Word {
        // SAFETY: a Hash is on the heap, and has more than one word after its header.
        unsafe { header(hash).add(1).cast::<*const Word>().read() }
    }

    /// The table is in the Hash, after a word for what it has by default.
    #[cfg(any(ruby_3_3, ruby_3_4))]
    #[inline(always)]
    pub fn table(hash: RHash) -> *const Word {
        header(hash).wrapping_add(1).cast::<Word>().wrapping_add(1)
    }

    /// What a small table has before its entries, in words.
    const HINTS: usize = if cfg!(any(ruby_3_1, ruby_3_2)) { 0 } else { 1 };

    /// # Safety
    /// The entries must be where this Ruby is expected to have them.
    #[inline(always)]
    pub unsafe fn entries(hash: RHash) -> Option<Entries> {
        let table = table(hash);
        // SAFETY: a Hash has a header; and as promised.
        unsafe {
            let flags = (*header(hash)).flags;
            Some(if flags & IS_LARGE == 0 {
                Entries {
                    first: table.wrapping_add(HINTS),
                    count: (flags >> COUNT_SHIFT & COUNT_MASK) as usize,
                    form: Form::SMALL,
                    comparison: None,
                }
            } else {
                let table = &*table.cast::<rb_sys::st_table>();
                let start = table.entries_start as usize;
                let entries = table.entries.cast_const().cast::<Word>();
                Entries {
                    first: entries.wrapping_add(start * Form::LARGE.size),
                    count: table.entries_bound as usize - start,
                    form: Form::LARGE,
                    comparison: Some(table.type_.addr()),
                }
            })
        }
    }
}

#[cfg(not(all(
    any(ruby_3_1, ruby_3_2, ruby_3_3, ruby_3_4),
    target_pointer_width = "64"
)))]
mod layout {
    use super::{Entries, Word};
    use magnus::RHash;

    pub fn table(_: RHash) -> *const Word {
        std::ptr::null()
    }

    pub unsafe fn entries(_: RHash) -> Option<Entries> {
        None
    }
}
