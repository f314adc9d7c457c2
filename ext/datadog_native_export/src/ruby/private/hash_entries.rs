//! Where a Hash keeps its entries. Ruby's API has a call for each entry, which costs more than most of what is done with
//! it, and can't tell where the entries are before they are read.

use super::prefetch;
use crate::ruby::address;
use crate::ruby::hash::{Keys, each_pair_by_ruby};
use magnus::rb_sys::FromRawValue;
use magnus::value::ReprValue;
use magnus::{Error, RHash, Ruby, Value};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicUsize, Ordering};

type Word = rb_sys::VALUE;

/// How ordinary Hashes compare their keys: an address that stands for it. 0 until [`check`] has found the entries where
/// they should be.
static BY_CONTENT: AtomicUsize = AtomicUsize::new(0);

/// The entries of a Hash, in their order. Valid until Ruby code runs, objects are moved, or the Hash is changed.
#[derive(Clone, Copy)]
pub struct Entries {
    first: *const Word,
    /// Number of entries, deleted ones among them.
    count: usize,
    form: Form,
    /// How the keys are compared, as in [`BY_CONTENT`]. Small Hashes do it as ordinary ones do.
    comparison: Option<usize>,
}

/// What an entry is, in words.
#[derive(Clone, Copy)]
struct Form {
    size: usize,
    /// Index of the key, which the value follows.
    key: usize,
    /// Stands first in an entry that was deleted.
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
    /// Number of entries that [`Entries::copy_to`] takes, deleted ones among them.
    pub const MOST_COPIED: usize = 32;

    /// Finds the entries of a Hash; returns `None` where the layout isn't known.
    #[inline]
    pub fn of(hash: RHash) -> Option<Self> {
        if !are_found() {
            return None;
        }
        // SAFETY: `check` has found that this Ruby has them there.
        unsafe { layout::entries(hash) }
    }

    /// Returns how the keys relate.
    #[inline]
    pub fn keys(&self) -> Keys {
        let by_content = BY_CONTENT.load(Ordering::Relaxed);
        match self.comparison.is_none_or(|kind| kind == by_content) {
            true => Keys::Distinct,
            false => Keys::MayRepeat,
        }
    }

    /// Returns the address of what tells where the entries of a Hash are, which stand near. The Hash is read, the table
    /// isn't.
    #[inline]
    pub fn table_address(hash: RHash) -> usize {
        /// Of a large table what is read stands around this byte.
        const MIDDLE: usize = std::mem::offset_of!(rb_sys::st_table, entries_bound);
        layout::table(hash).addr() + MIDDLE
    }

    /// Returns whether [`Entries::copy_to`] takes them.
    #[inline]
    pub fn are_few(&self) -> bool {
        self.count <= Self::MOST_COPIED
    }

    /// Returns the memory that the entries are in.
    #[inline]
    pub fn addresses(&self) -> std::ops::Range<usize> {
        let first = self.first.addr();
        first..first + self.count * self.form.size * size_of::<Word>()
    }

    /// Copies keys and values, if there are not too many.
    #[inline(always)]
    pub fn copy_to(
        self,
        copies: &mut [[MaybeUninit<Word>; 2]; Self::MOST_COPIED],
    ) -> Option<&[[Word; 2]]> {
        if !self.are_few() {
            return None;
        }
        let copies = copies.as_mut_ptr().cast::<[Word; 2]>();
        // SAFETY: there are so many entries, nothing changes them while they are copied, and there is room for all.
        unsafe {
            let mut next = copies;
            self.each(|key| {
                next.write([*key, *key.add(1)]);
                next = next.add(1);
            });
            Some(std::slice::from_raw_parts(
                copies,
                next.offset_from_unsigned(copies),
            ))
        }
    }

    /// Prefetches every value.
    #[inline(always)]
    pub fn prefetch_values(self) {
        // SAFETY: nothing of Ruby runs here, and a value is live as long as its Hash is.
        unsafe { self.each(|key| prefetch(Value::from_raw(*key.add(1)))) };
    }

    /// Calls `each` with the address of every key, which its value follows.
    ///
    /// # Safety
    /// The entries must still be valid, and `each` must not call Ruby.
    #[inline(always)]
    unsafe fn each(self, mut each: impl FnMut(*const Word)) {
        let mut entry = self.first;
        for _ in 0..self.count {
            // SAFETY: there are so many entries.
            unsafe {
                if *entry != self.form.deleted {
                    each(entry.add(self.form.key));
                }
            }
            entry = entry.wrapping_add(self.form.size);
        }
    }
}

/// Returns whether [`check`] has found the entries.
#[inline]
pub fn are_found() -> bool {
    BY_CONTENT.load(Ordering::Relaxed) != 0
}

/// Checks that this Ruby has the entries of Hashes where they are looked for, and notes it.
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
            if checked(hash)?.is_none() {
                return Ok(());
            }
        }
    }
    let large = checked(filled(ruby, 30)?)?;
    let by_identity = filled(ruby, 3)?;
    // An application may have redefined it.
    if by_identity
        .funcall::<_, _, Value>("compare_by_identity", ())
        .is_err()
    {
        return Ok(());
    }
    let by_identity = checked(by_identity)?;
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

/// Returns the entries, if they are the same that Ruby gives out.
fn checked(hash: RHash) -> Result<Option<Entries>, Error> {
    let mut expected = Vec::new();
    each_pair_by_ruby(hash, |key, value| {
        expected.push([key, value].map(|object| address(object) as Word));
        Ok::<_, Error>(())
    })?;
    let mut copies = [[MaybeUninit::uninit(); 2]; Entries::MOST_COPIED];
    // SAFETY: a Hash of this Ruby; that its words are read as entries without being followed does no harm.
    let entries = unsafe { layout::entries(hash) };
    let copied = entries.and_then(|entries| entries.copy_to(&mut copies));
    let is_same = copied.is_some_and(|copied| copied == expected);
    Ok(entries.filter(|_| is_same))
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
