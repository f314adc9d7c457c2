//! Hashes of tags and metrics.

use super::text::entry;
use super::{Lowering, Policy, numbers};
use crate::errors::Failure;
use crate::ruby::{Keys, each_pair};
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
        self.entries(hash, "meta", meta, Self::tag)
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
        self.entries(hash, "metrics", metrics, Self::metric)
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
        lower: impl Fn(&mut Self, &BytesString, Value) -> Result<Option<V>, Failure>,
    ) -> Result<(), Failure> {
        let Some(hash) = self.hash(hash, field)? else {
            return Ok(());
        };
        // Those that had many entries before would keep their room for a few.
        if map.capacity() < hash.len() || map.capacity() > 2 * hash.len() + MOST_SPARE {
            *map = VecMap::with_capacity(hash.len());
        }
        let mut distinct = true;
        each_pair(hash, |keys, key, value| {
            let key = match self.text(key, || format!("{field} key")) {
                Ok(key) => key,
                Err(reason) => return self.left_out(reason),
            };
            let Some(value) = lower(self, &key.text, value)? else {
                return Ok(());
            };
            distinct &= key.distinct && keys == Keys::Distinct;
            match distinct {
                true => map.insert(key.text, value),
                false => drop(map.insert_or_replace(key.text, value)),
            }
            Ok(())
        })?;
        map.mark_deduped();
        Ok(())
    }

    /// Lowers the value of a tag; returns `None` to leave the tag out.
    #[inline(always)]
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
    #[inline(always)]
    pub fn metric(&mut self, key: &BytesString, value: Value) -> Result<Option<f64>, Failure> {
        match numbers::plain_metric(value) {
            Some(number) => Ok(Some(number)),
            None => self.odd_metric(key, value),
        }
    }

    #[cold]
    #[inline(never)]
    fn odd_metric(&mut self, key: &BytesString, value: Value) -> Result<Option<f64>, Failure> {
        if self.policy == Policy::Explicit && value.is_nil() {
            return Ok(None);
        }
        let path = || entry("metrics", key);
        match numbers::metric(self.ruby, value, path) {
            Ok(Some(number)) => Ok(Some(number)),
            Ok(None) => {
                let reason = Failure::out_of_range(path(), "a number", value);
                self.skip(reason).map(|()| None)
            }
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
