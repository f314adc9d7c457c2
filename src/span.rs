//! A span while its owner fills it in.

use crate::size::Size;
use crate::text::TextArena;
use libdd_tinybytes::{Bytes, BytesString};
use libdd_trace_utils::span::v04::{SpanBytes, SpanEventBytes, SpanLinkBytes, VecMap};

/// Bytes of replaced text a span may hold before its text is copied into new blocks.
const TOLERATED_WASTE: usize = 4096;

/// A [`SpanBytes`] together with the blocks that its text is stored in.
#[derive(Default)]
pub struct SpanDraft {
    span: SpanBytes,
    text: TextArena,
    wasted: usize,
    repaired: usize,
    left_out: usize,
}

/// The fields of a span that are numbers.
#[derive(Default)]
pub struct Numbers {
    pub trace_id: u128,
    pub span_id: u64,
    pub parent_id: u64,
    /// Nanoseconds since the epoch.
    pub start: i64,
    /// Nanoseconds.
    pub duration: i64,
    pub error: i32,
}

impl SpanDraft {
    pub fn new(numbers: Numbers) -> Self {
        Self {
            span: SpanBytes {
                trace_id: numbers.trace_id,
                span_id: numbers.span_id,
                parent_id: numbers.parent_id,
                start: numbers.start,
                duration: numbers.duration,
                error: numbers.error,
                ..Default::default()
            },
            ..Default::default()
        }
    }

    pub fn span(&self) -> &SpanBytes {
        &self.span
    }

    /// Sets the name, and the resource to the same.
    pub fn set_name(&mut self, name: &str) {
        self.span.name = self.text.store(name);
        self.span.resource = self.span.name.clone();
    }

    pub fn set_service(&mut self, service: &str) {
        self.span.service = self.text.store(service);
    }

    pub fn set_resource(&mut self, resource: &str) {
        self.span.resource = self.text.store(resource);
    }

    pub fn set_type(&mut self, r#type: &str) {
        self.span.r#type = self.text.store(r#type);
    }

    /// Counts values whose text had broken bytes, which were replaced.
    pub fn count_repaired(&mut self, values: usize) {
        self.repaired += values;
    }

    /// Counts values that cannot be sent and were left out.
    pub fn count_left_out(&mut self, values: usize) {
        self.left_out += values;
    }

    /// Sets a tag, in place of one with the same key.
    pub fn set_meta(&mut self, key: &str, value: &str) {
        let value = self.text.store(value);
        if let Some(tag) = self.span.meta.get_mut(key) {
            let replaced = std::mem::replace(tag, value);
            self.span.meta.mark_deduped();
            self.waste(replaced.as_str().len());
        } else {
            let key = self.text.store(key);
            push_unique(&mut self.span.meta, key, value);
        }
    }

    pub fn remove_meta(&mut self, key: &str) {
        if let Some(removed) = self.span.meta.remove(key) {
            self.waste(key.len() + removed.as_str().len());
        }
    }

    /// Sets a metric, in place of one with the same key.
    pub fn set_metric(&mut self, key: &str, value: f64) {
        if let Some(metric) = self.span.metrics.get_mut(key) {
            *metric = value;
            self.span.metrics.mark_deduped();
        } else {
            let key = self.text.store(key);
            push_unique(&mut self.span.metrics, key, value);
        }
    }

    pub fn remove_metric(&mut self, key: &str) {
        if self.span.metrics.remove(key).is_some() {
            self.waste(key.len());
        }
    }

    /// Sets a structured value, encoded as MessagePack, in place of one with the same key.
    pub fn set_meta_struct(&mut self, key: &str, value: Vec<u8>) {
        let value = Bytes::from_underlying(value);
        if let Some(old) = self.span.meta_struct.get_mut(key) {
            *old = value;
            self.span.meta_struct.mark_deduped();
        } else {
            let key = self.text.store(key);
            push_unique(&mut self.span.meta_struct, key, value);
        }
    }

    pub fn add_link(&mut self, link: SpanLinkBytes) {
        self.span.span_links.push(link);
    }

    pub fn add_event(&mut self, event: SpanEventBytes) {
        self.span.span_events.push(event);
    }

    /// Makes room for tags and metrics, before the first is set.
    pub fn reserve(&mut self, meta: usize, metrics: usize) {
        self.span.meta = VecMap::with_capacity(meta);
        self.span.metrics = VecMap::with_capacity(metrics);
        self.unique();
    }

    /// Adds tags without looking for their keys among those already there: for the entries of a
    /// map. Follow it with [`SpanDraft::unique`] or [`SpanDraft::dedup`].
    pub fn append_meta(&mut self, key: &str, value: &str) {
        let (key, value) = (self.text.store(key), self.text.store(value));
        self.span.meta.insert(key, value);
    }

    /// As [`SpanDraft::append_meta`], for metrics.
    pub fn append_metric(&mut self, key: &str, value: f64) {
        let key = self.text.store(key);
        self.span.metrics.insert(key, value);
    }

    /// Vouches for it that no two tags or metrics share a key, which spares looking for them.
    pub fn unique(&mut self) {
        self.span.meta.mark_deduped();
        self.span.metrics.mark_deduped();
    }

    /// Keeps the last of all tags, and metrics, that share a key.
    pub fn dedup(&mut self) {
        self.span.dedup();
    }

    /// Bytes of memory this span holds.
    pub fn memory(&self) -> usize {
        self.size().memory
    }

    /// The span, and what it adds to the size of its chunk.
    pub fn finish(self) -> (SpanBytes, Size) {
        let size = self.size();
        (self.span, size)
    }

    fn size(&self) -> Size {
        let mut size = Size::of_span(&self.span);
        size.memory += self.text.memory();
        size.repaired = self.repaired;
        size.left_out = self.left_out;
        size
    }

    /// Text stays in its block until the span is gone, so that a tag set over and over would fill
    /// block after block.
    fn waste(&mut self, bytes: usize) {
        self.wasted += bytes;
        if self.wasted < TOLERATED_WASTE || self.wasted < self.text.memory() / 2 {
            return;
        }
        self.wasted = 0;
        let mut text = TextArena::default();
        let mut copy = |string: &mut BytesString| *string = text.store(string.as_str());
        copy(&mut self.span.name);
        copy(&mut self.span.service);
        copy(&mut self.span.resource);
        copy(&mut self.span.r#type);
        for (key, value) in self.span.meta.iter_mut() {
            copy(key);
            copy(value);
        }
        for (key, _) in self.span.metrics.iter_mut() {
            copy(key);
        }
        for (key, _) in self.span.meta_struct.iter_mut() {
            copy(key);
        }
        self.unique();
        self.span.meta_struct.mark_deduped();
        self.text = text;
    }
}

fn push_unique<V>(map: &mut VecMap<BytesString, V>, key: BytesString, value: V) {
    map.insert(key, value);
    map.mark_deduped();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_key_wins_and_takes_its_place() {
        let mut draft = SpanDraft::default();
        draft.set_meta("a", "1");
        draft.set_meta("b", "2");
        draft.set_meta("a", "3");
        draft.set_metric("m", 1.0);
        draft.set_metric("m", 2.0);
        let (span, _) = draft.finish();
        assert!(span.meta.is_deduped() && span.metrics.is_deduped());
        assert_eq!((span.meta.len(), span.metrics.len()), (2, 1));
        assert_eq!(span.meta.get("a").unwrap().as_str(), "3");
        assert_eq!(span.metrics.get("m"), Some(&2.0));
    }

    #[test]
    fn removing_a_tag_leaves_the_others() {
        let mut draft = SpanDraft::default();
        draft.set_meta("a", "1");
        draft.set_meta("b", "2");
        draft.remove_meta("a");
        draft.remove_meta("unknown");
        draft.set_metric("m", 1.0);
        draft.remove_metric("m");
        let (span, _) = draft.finish();
        assert_eq!(span.meta.get("b").unwrap().as_str(), "2");
        assert_eq!((span.meta.len(), span.metrics.len()), (1, 0));
    }

    #[test]
    fn a_tag_set_over_and_over_does_not_grow_the_span() {
        let mut draft = SpanDraft::default();
        draft.set_name("name");
        draft.set_service("service");
        draft.set_meta("kept", "as it was");
        for i in 0..100_000 {
            draft.set_meta("status", &format!("step {i}"));
        }
        assert!(draft.memory() < 32 * 1024, "{}", draft.memory());
        let span = draft.span();
        assert_eq!(span.meta.get("status").unwrap().as_str(), "step 99999");
        assert_eq!(span.meta.get("kept").unwrap().as_str(), "as it was");
        assert_eq!(span.resource.as_str(), "name");
    }
}
