//! The fast way to lower the Hashes that a span is made with: for those whose entries are all sent as they are. It
//! calls no Ruby code and makes no error.

use crate::numbers::simple_metric;
use crate::reading::Reading;
use crate::text::Text;
use magnus::{Error, RHash, Ruby, Value};
use pipeline::span::SpanDraft;
use pipeline::text::Slice;

/// Appends the entries of a Hash as tags: whether it is known that no two keys are equal. `None`, and nothing is
/// appended, when not all of them are simple.
///
/// # Errors
/// What comes from outside, as from `Thread#kill`.
pub fn append_meta(ruby: &Ruby, draft: &mut SpanDraft, hash: RHash) -> Result<Option<bool>, Error> {
    append(draft, hash, |draft, key, value| {
        let key = text(ruby, draft, key, true)?;
        let value = text(ruby, draft, value, false)?;
        draft.append_meta(key, value);
        Some(())
    })
}

/// As [`append_meta`], for metrics.
///
/// # Errors
/// As there.
pub fn append_metrics(
    ruby: &Ruby,
    draft: &mut SpanDraft,
    hash: RHash,
) -> Result<Option<bool>, Error> {
    append(draft, hash, |draft, key, value| {
        let key = text(ruby, draft, key, true)?;
        draft.append_metric(key, simple_metric(value)?);
        Some(())
    })
}

fn append(
    draft: &mut SpanDraft,
    hash: RHash,
    entry: impl Fn(&mut SpanDraft, Value, Value) -> Option<()>,
) -> Result<Option<bool>, Error> {
    let mark = draft.mark();
    let (mut all, mut distinct) = (true, false);
    // SAFETY: all that is called from here borrows what it works with, and owns numbers only; it reads Strings and
    // numbers, which calls no Ruby, and nothing in it can panic.
    let read = unsafe {
        Reading::protect(|reading| {
            distinct = reading.each_pair(hash, |key, value| {
                all = entry(draft, key, value).is_some();
                all
            });
        })
    };
    if !all {
        draft.rewind(mark);
    }
    read.map(|()| all.then_some(distinct))
}

/// Puts a text in. `unique` ones alone, if that is asked for, as keys have to be.
#[inline]
fn text(ruby: &Ruby, draft: &mut SpanDraft, value: Value, unique: bool) -> Option<Slice> {
    let text = Text::simple(ruby, value).filter(|text| text.unique || !unique)?;
    let (slice, repaired) = text.put_into(draft.texts());
    (!repaired).then_some(slice)
}
