//! Hashes of tags and metrics.

use super::text::entry;
use super::{Lowering, Policy, numbers};
use crate::errors::{Failure, Kind};
use crate::ruby::{Copies, Keys, each_pair_by_ruby, keys};
use libdd_tinybytes::BytesString;
use magnus::value::{Qfalse, Qtrue, ReprValue};
use magnus::{Float, Integer, RHash, Value};
use pipeline::span::VecMap;

/// Entries that a map from the pool may have room for beyond twice what it will hold.
const MOST_SPARE: usize = 8;

/// Entries that one whose key may be there already is compared with, at most.
const MOST_COMPARED: usize = 64;

/// What a [`VecMap`] is made of.
type Entries<V> = Vec<(BytesString, V)>;

impl Lowering<'_> {
    /// Adds the entries of a Hash of tags, or none for nil, to an empty map.
    ///
    /// # Errors
    /// For what can't be sent, as the policy says.
    pub fn meta(
        &mut self,
        hash: Value,
        meta: &mut VecMap<BytesString, BytesString>,
    ) -> Result<(), Failure> {
        self.entries(hash, "meta", meta, Self::plain_tag, Self::tag)
    }

    /// Adds the entries of a Hash of metrics, or none for nil, to an empty map.
    ///
    /// # Errors
    /// For what can't be sent, as the policy says.
    pub fn metrics(
        &mut self,
        hash: Value,
        metrics: &mut VecMap<BytesString, f64>,
    ) -> Result<(), Failure> {
        self.entries(hash, "metrics", metrics, Self::plain_metric, Self::metric)
    }

    /// Returns the Hash, or `None` when there is none.
    ///
    /// # Errors
    /// For a value of another class, as the policy says.
    #[inline(always)]
    pub fn hash(&mut self, value: Value, field: &str) -> Result<Option<RHash>, Failure> {
        match RHash::from_value(value) {
            None if !value.is_nil() => {
                self.left_out(Failure::wrong_class(field, "Hash", value))?;
                Ok(None)
            }
            hash => Ok(hash),
        }
    }

    #[inline(always)]
    fn entries<V>(
        &mut self,
        hash: Value,
        field: &str,
        map: &mut VecMap<BytesString, V>,
        plain: impl Fn(&mut Self, &'static str, Value, &mut Entries<V>) -> bool,
        lower: impl Fn(&mut Self, &BytesString, Value) -> Result<Option<V>, Failure>,
    ) -> Result<(), Failure> {
        let hash = self.hash(hash, field)?;
        let mut copies = Copies::default();
        let copied = hash.and_then(|hash| copies.read(hash));
        let length = match &copied {
            Some((_, pairs)) => pairs.len(),
            None => hash.map_or(0, |hash| hash.len()),
        };
        // One that had many entries before would keep their room for a few.
        if map.capacity() > 2 * length + MOST_SPARE {
            *map = VecMap::new();
        }
        let Some(hash) = hash else {
            return Ok(());
        };
        let mut entries = Entries::from(std::mem::take(map));
        entries
            .try_reserve_exact(length)
            .map_err(|_| Failure::new(Kind::NoMemory, field, "failed to allocate memory"))?;
        let mut distinct;
        if let Some((keys, pairs)) = copied {
            distinct = keys == Keys::Distinct;
            for (key, value) in pairs {
                let is_plain = match self.texts.kept(key) {
                    Some((key, true)) if distinct => plain(self, key, value, &mut entries),
                    _ => false,
                };
                if !is_plain {
                    distinct &= self.entry(field, key, value, distinct, &mut entries, &lower)?;
                }
            }
        } else {
            distinct = keys(hash) == Keys::Distinct;
            each_pair_by_ruby(hash, |key, value| {
                distinct &= self.entry(field, key, value, distinct, &mut entries, &lower)?;
                Ok::<_, Failure>(())
            })?;
        }
        let may_repeat = !distinct && entries.len() > MOST_COMPARED;
        *map = VecMap::from(entries);
        match may_repeat {
            true => map.dedup(),
            // No two share a key. The library would build a hash table of each map to find out.
            false => map.mark_deduped(),
        }
        Ok(())
    }

    /// Adds an entry, in place of one with the same key unless all keys are distinct. Returns whether the key is.
    #[inline(never)]
    fn entry<V>(
        &mut self,
        field: &str,
        key: Value,
        value: Value,
        distinct: bool,
        entries: &mut Entries<V>,
        lower: &impl Fn(&mut Self, &BytesString, Value) -> Result<Option<V>, Failure>,
    ) -> Result<bool, Failure> {
        let key = match self.text(key, || format!("{field} key")) {
            Ok(key) => key,
            Err(reason) => return self.left_out(reason).map(|()| true),
        };
        let Some(value) = lower(self, &key.text, value)? else {
            return Ok(true);
        };
        // Comparing with many takes longer than looking for equal ones once, when all are there.
        let is_compared = !(distinct && key.distinct) && entries.len() < MOST_COMPARED;
        let mut others = entries.iter_mut().filter(|_| is_compared);
        match others.find(|(other, _)| *other == key.text) {
            Some((_, other)) => *other = value,
            None => entries.push((key.text, value)),
        }
        Ok(key.distinct)
    }

    /// Adds a tag whose value is text that is met all the time, or short and UTF-8. Returns whether it is.
    #[inline(always)]
    fn plain_tag(
        &mut self,
        key: &'static str,
        value: Value,
        meta: &mut Entries<BytesString>,
    ) -> bool {
        if let Some((value, _)) = self.texts.kept(value) {
            push(meta, || {
                (
                    BytesString::from_static(key),
                    BytesString::from_static(value),
                )
            });
        } else if let Some(value) = self.texts.append(value) {
            push(meta, || (BytesString::from_static(key), value.share()));
        } else {
            return false;
        }
        true
    }

    /// Adds a metric that takes no call to read. Returns whether it is one.
    #[inline(always)]
    fn plain_metric(
        &mut self,
        key: &'static str,
        value: Value,
        metrics: &mut Entries<f64>,
    ) -> bool {
        let Some(number) = numbers::plain_metric(value) else {
            return false;
        };
        push(metrics, || (BytesString::from_static(key), number));
        true
    }

    /// Lowers the value of a tag; returns `None` to leave the tag out.
    pub fn tag(&mut self, key: &BytesString, value: Value) -> Result<Option<BytesString>, Failure> {
        match self.text(value, || entry("meta", key)) {
            Ok(text) => Ok(Some(text.text)),
            Err(reason) => self.odd_tag(key, value, reason),
        }
    }

    #[cold]
    #[inline(never)]
    fn odd_tag(
        &mut self,
        key: &BytesString,
        value: Value,
        reason: Failure,
    ) -> Result<Option<BytesString>, Failure> {
        match self.policy {
            Policy::Explicit if value.is_nil() => Ok(None),
            Policy::Lenient if is_scalar(value) => {
                let text = self.made_text(&value.to_string(), || entry("meta", key));
                let text = self.or_left_out(text)?;
                self.tally.repaired += usize::from(text.is_some());
                Ok(text)
            }
            _ => self.left_out(reason).map(|()| None),
        }
    }

    /// Lowers a metric; returns `None` to leave it out.
    pub fn metric(&mut self, key: &BytesString, value: Value) -> Result<Option<f64>, Failure> {
        let path = || entry("metrics", key);
        match numbers::metric(self.ruby, value, path) {
            Ok(Some(number)) => Ok(Some(number)),
            Ok(None) => {
                let reason = Failure::out_of_range(path(), "a number", value);
                self.skip(reason).map(|()| None)
            }
            Err(_) if self.policy == Policy::Explicit && value.is_nil() => Ok(None),
            Err(reason) => self.left_out(reason).map(|()| None),
        }
    }
}

/// Adds an entry that is made where it will stand. One that is made first, part by part, and then copied as a whole has
/// the processor wait for the parts to reach the memory: a tenth of the time that lowering takes.
#[inline(always)]
fn push<V>(entries: &mut Entries<V>, make: impl FnOnce() -> (BytesString, V)) {
    entries.extend(std::iter::once_with(make));
}

/// Returns whether a value has an obvious form as text.
fn is_scalar(value: Value) -> bool {
    Integer::from_value(value).is_some()
        || Float::from_value(value).is_some()
        || Qtrue::from_value(value).is_some()
        || Qfalse::from_value(value).is_some()
}
