//! Hashes of tags and metrics.

use super::text::entry;
use super::{Lowering, Policy, numbers};
use crate::errors::Failure;
use crate::ruby::{Copies, Keys, each_pair_by_ruby};
use libdd_tinybytes::BytesString;
use magnus::value::{Qfalse, Qtrue, ReprValue};
use magnus::{Float, Integer, RHash, Value};
use pipeline::span::VecMap;

/// Entries that a map from the pool may have room for beyond twice what it will hold.
const MOST_SPARE: usize = 8;

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
        plain: impl Fn(&mut Self, &'static str, Value, &mut VecMap<BytesString, V>) -> bool,
        lower: impl Fn(&mut Self, &BytesString, Value) -> Result<Option<V>, Failure>,
    ) -> Result<(), Failure> {
        let Some(hash) = self.hash(hash, field)? else {
            return Ok(());
        };
        // Those that had many entries before would keep their room for a few.
        if map.capacity() < hash.len() || map.capacity() > 2 * hash.len() + MOST_SPARE {
            *map = VecMap::with_capacity(hash.len());
        }
        let mut copies = Copies::default();
        if let Some((keys, pairs)) = copies.read(hash) {
            let mut distinct = keys == Keys::Distinct;
            for (key, value) in pairs {
                let is_plain = match self.texts.kept(key) {
                    Some((key, true)) if distinct => plain(self, key, value, map),
                    _ => false,
                };
                if !is_plain {
                    distinct &= self.entry(field, key, value, distinct, map, &lower)?;
                }
            }
        } else {
            each_pair_by_ruby(hash, |key, value| {
                self.entry(field, key, value, false, map, &lower)?;
                Ok::<_, Failure>(())
            })?;
        }
        map.mark_deduped();
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
        map: &mut VecMap<BytesString, V>,
        lower: &impl Fn(&mut Self, &BytesString, Value) -> Result<Option<V>, Failure>,
    ) -> Result<bool, Failure> {
        let key = match self.text(key, || format!("{field} key")) {
            Ok(key) => key,
            Err(reason) => return self.left_out(reason).map(|()| true),
        };
        let Some(value) = lower(self, &key.text, value)? else {
            return Ok(true);
        };
        match distinct && key.distinct {
            true => map.insert(key.text, value),
            false => drop(map.insert_or_replace(key.text, value)),
        }
        Ok(key.distinct)
    }

    /// Adds a tag whose value is text that is met all the time, or short and UTF-8. Returns whether it is.
    ///
    /// What is added is made where it is stored: copied from elsewhere in halves, it would have to wait for the memory.
    #[inline(always)]
    fn plain_tag(
        &mut self,
        key: &'static str,
        value: Value,
        meta: &mut VecMap<BytesString, BytesString>,
    ) -> bool {
        let key = BytesString::from_static(key);
        if let Some((value, _)) = self.texts.kept(value) {
            meta.insert(key, BytesString::from_static(value));
        } else if let Some(value) = self.texts.append(value) {
            meta.insert(key, value.share());
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
        metrics: &mut VecMap<BytesString, f64>,
    ) -> bool {
        let number = numbers::plain_metric(value);
        if let Some(number) = number {
            metrics.insert(BytesString::from_static(key), number);
        }
        number.is_some()
    }

    /// Lowers the value of a tag; returns `None` to leave the tag out.
    pub fn tag(&mut self, key: &BytesString, value: Value) -> Result<Option<BytesString>, Failure> {
        match self.text(value, || entry("meta", key)) {
            Ok(text) => Ok(Some(text.text)),
            Err(reason) => self.odd_tag(value, reason),
        }
    }

    #[cold]
    #[inline(never)]
    fn odd_tag(&mut self, value: Value, reason: Failure) -> Result<Option<BytesString>, Failure> {
        match self.policy {
            Policy::Explicit if value.is_nil() => Ok(None),
            Policy::Lenient if is_scalar(value) => {
                self.tally.repaired += 1;
                Ok(Some(value.to_string().into()))
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

/// Returns whether a value has an obvious form as text.
fn is_scalar(value: Value) -> bool {
    Integer::from_value(value).is_some()
        || Float::from_value(value).is_some()
        || Qtrue::from_value(value).is_some()
        || Qfalse::from_value(value).is_some()
}
