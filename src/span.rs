//! A span while its owner fills it in.

use crate::columns::{Columns, Extras, Fields, Labels, Mark, Numbers};
use crate::size::Size;
use crate::text::{Slice, Texts};
use libdd_tinybytes::BytesString;
use libdd_trace_utils::span::v04::{SpanEventBytes, SpanLinkBytes, SpanSlice};

/// Bytes of replaced text a span may hold before its text is copied.
const TOLERATED_WASTE: usize = 4096;

/// One span, with text and tags of its own.
///
/// Text is first put into [`SpanDraft::texts`]; what the methods take is where it stands there.
#[derive(Default)]
pub struct SpanDraft {
    trace_id: u128,
    span: Fields,
    columns: Columns,
    wasted: usize,
}

impl SpanDraft {
    pub fn new(trace_id: u128, numbers: Numbers) -> Self {
        Self {
            trace_id,
            span: Fields {
                numbers,
                ..Fields::default()
            },
            ..Self::default()
        }
    }

    pub fn trace_id(&self) -> u128 {
        self.trace_id
    }

    pub fn numbers(&self) -> &Numbers {
        &self.span.numbers
    }

    pub fn labels(&self) -> &Labels {
        &self.span.labels
    }

    pub fn extras(&self) -> Option<&Extras> {
        self.columns.extras(&self.span)
    }

    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    pub fn texts(&mut self) -> &mut Texts {
        &mut self.columns.texts
    }

    /// Sets the name, and the resource to the same.
    pub fn set_name(&mut self, name: Slice) {
        self.span.labels.name = name;
        self.span.labels.resource = name;
    }

    pub fn set_service(&mut self, service: Slice) {
        self.span.labels.service = service;
    }

    pub fn set_resource(&mut self, resource: Slice) {
        self.span.labels.resource = resource;
    }

    pub fn set_type(&mut self, r#type: Slice) {
        self.span.labels.r#type = r#type;
    }

    /// Counts values whose text had broken bytes, which were replaced.
    pub fn count_repaired(&mut self, values: usize) {
        self.columns.repaired += values;
    }

    /// Counts values that cannot be sent and were left out.
    pub fn count_left_out(&mut self, values: usize) {
        self.columns.left_out += values;
    }

    /// Sets a tag, in place of one with the same key.
    pub fn set_meta(&mut self, key: Slice, value: Slice) {
        let Columns { texts, meta, .. } = &mut self.columns;
        match find(texts, meta, key) {
            Some(index) => {
                let replaced = std::mem::replace(&mut meta[index].1, value);
                self.waste(key.length() + replaced.length());
            }
            None => self.append_meta(key, value),
        }
    }

    pub fn remove_meta(&mut self, key: Slice) {
        let Columns { texts, meta, .. } = &mut self.columns;
        if let Some(index) = find(texts, meta, key) {
            let (key, value) = meta.remove(index);
            self.span.meta_end -= 1;
            self.waste(key.length() + value.length());
        }
        self.waste(key.length());
    }

    /// Sets a metric, in place of one with the same key.
    pub fn set_metric(&mut self, key: Slice, value: f64) {
        let Columns { texts, metrics, .. } = &mut self.columns;
        match find(texts, metrics, key) {
            Some(index) => {
                metrics[index].1 = value;
                self.waste(key.length());
            }
            None => self.append_metric(key, value),
        }
    }

    pub fn remove_metric(&mut self, key: Slice) {
        let Columns { texts, metrics, .. } = &mut self.columns;
        if let Some(index) = find(texts, metrics, key) {
            let (key, _) = metrics.remove(index);
            self.span.metrics_end -= 1;
            self.waste(key.length());
        }
        self.waste(key.length());
    }

    /// Sets a structured value, encoded as MessagePack, in place of one with the same key.
    pub fn set_meta_struct(&mut self, key: BytesString, value: Vec<u8>) {
        self.extras_mut().set_meta_struct(key, value);
    }

    pub fn add_link(&mut self, link: SpanLinkBytes) {
        self.extras_mut().links.push(link);
    }

    pub fn add_event(&mut self, event: SpanEventBytes) {
        self.extras_mut().events.push(event);
    }

    /// Makes room for tags and metrics, and for as much text as these mostly have.
    pub fn reserve(&mut self, meta: usize, metrics: usize) {
        self.columns.texts.reserve(32 * meta + 16 * metrics);
        self.columns.meta.reserve_exact(meta);
        self.columns.metrics.reserve_exact(metrics);
    }

    /// Adds a tag without looking for its key among those already there. Where two may share one,
    /// follow it with [`SpanDraft::dedup`].
    pub fn append_meta(&mut self, key: Slice, value: Slice) {
        self.columns.meta.push((key, value));
        self.span.meta_end += 1;
    }

    /// As [`SpanDraft::append_meta`], for metrics.
    pub fn append_metric(&mut self, key: Slice, value: f64) {
        self.columns.metrics.push((key, value));
        self.span.metrics_end += 1;
    }

    /// Keeps the last of all tags, and metrics, that share a key.
    pub fn dedup(&mut self) {
        self.columns.dedup_meta(0);
        self.columns.dedup_metrics(0);
        self.count_tags();
    }

    /// What has been put in so far.
    pub fn mark(&self) -> Mark {
        self.columns.mark()
    }

    /// Takes out the tags and metrics that were put in since.
    pub fn rewind(&mut self, mark: Mark) {
        self.columns.rewind(mark);
        self.count_tags();
    }

    fn count_tags(&mut self) {
        self.span.meta_end = self.columns.meta.len() as u32;
        self.span.metrics_end = self.columns.metrics.len() as u32;
    }

    /// Bytes of memory.
    pub fn memory(&self) -> usize {
        let extras = self.extras().map(Size::of_extras).unwrap_or_default();
        let Columns {
            texts,
            meta,
            metrics,
            ..
        } = &self.columns;
        let size = Size::of_spans(1, meta.capacity(), metrics.capacity(), 0);
        size.memory + texts.capacity() + extras.memory
    }

    /// The span as it is sent.
    pub fn to_span(&self, typed_events: bool) -> SpanSlice<'_> {
        self.columns
            .span(self.trace_id, &self.span, (0, 0), 0, typed_events)
    }

    /// The span, and its text and tags.
    pub fn into_parts(self) -> (Fields, Columns) {
        (self.span, self.columns)
    }

    fn extras_mut(&mut self) -> &mut Extras {
        if self.columns.extras.is_empty() {
            self.columns.push_extras(&mut self.span, Extras::default());
        }
        &mut self.columns.extras[0]
    }

    /// Text stays until the span is gone, so that a tag set over and over would pile up.
    fn waste(&mut self, bytes: usize) {
        self.wasted += bytes;
        if self.wasted < TOLERATED_WASTE || self.wasted < self.columns.texts.len() / 2 {
            return;
        }
        self.wasted = 0;
        let mut texts = Texts::default();
        let old = std::mem::take(&mut self.columns.texts);
        let mut copy = |slice: &mut Slice| *slice = texts.push(old.get(*slice));
        let Labels {
            name,
            service,
            resource,
            r#type,
        } = &mut self.span.labels;
        [name, service, resource, r#type]
            .into_iter()
            .for_each(&mut copy);
        for (key, value) in &mut self.columns.meta {
            copy(key);
            copy(value);
        }
        for (key, _) in &mut self.columns.metrics {
            copy(key);
        }
        self.columns.texts = texts;
    }
}

fn find<V>(texts: &Texts, entries: &[(Slice, V)], key: Slice) -> Option<usize> {
    let text = texts.get(key);
    // Most differ in length, which takes no look at the text.
    entries
        .iter()
        .position(|&(other, _)| other.length() == key.length() && texts.get(other) == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_meta(draft: &mut SpanDraft, key: &str, value: &str) {
        let (key, value) = (draft.texts().push(key), draft.texts().push(value));
        draft.set_meta(key, value);
    }

    fn set_metric(draft: &mut SpanDraft, key: &str, value: f64) {
        let key = draft.texts().push(key);
        draft.set_metric(key, value);
    }

    #[test]
    fn the_last_value_of_a_key_wins_and_takes_its_place() {
        let mut draft = SpanDraft::default();
        set_meta(&mut draft, "a", "1");
        set_meta(&mut draft, "b", "2");
        set_meta(&mut draft, "a", "3");
        set_metric(&mut draft, "m", 1.0);
        set_metric(&mut draft, "m", 2.0);
        let span = draft.to_span(true);
        assert!(span.meta.is_deduped() && span.metrics.is_deduped());
        assert_eq!((span.meta.len(), span.metrics.len()), (2, 1));
        assert_eq!(span.meta.get("a").unwrap(), "3");
        assert_eq!(span.metrics.get("m"), Some(&2.0));
    }

    #[test]
    fn removing_a_tag_leaves_the_others() {
        let mut draft = SpanDraft::default();
        set_meta(&mut draft, "a", "1");
        set_meta(&mut draft, "b", "2");
        for key in ["a", "unknown"] {
            let key = draft.texts().push(key);
            draft.remove_meta(key);
        }
        set_metric(&mut draft, "m", 1.0);
        let key = draft.texts().push("m");
        draft.remove_metric(key);
        let span = draft.to_span(true);
        assert_eq!(span.meta.get("b").unwrap(), "2");
        assert_eq!((span.meta.len(), span.metrics.len()), (1, 0));
    }

    #[test]
    fn of_tags_that_share_a_key_the_last_is_kept() {
        let mut draft = SpanDraft::default();
        for (key, value) in [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4")] {
            let (key, value) = (draft.texts().push(key), draft.texts().push(value));
            draft.append_meta(key, value);
        }
        draft.dedup();
        let span = draft.to_span(true);
        let tags: Vec<_> = span.meta.iter().map(|(k, v)| (&**k, &**v)).collect();
        assert_eq!(tags, [("b", "2"), ("a", "3"), ("c", "4")]);
    }

    #[test]
    fn a_tag_set_over_and_over_does_not_grow_the_span() {
        let mut draft = SpanDraft::default();
        let name = draft.texts().push("name");
        draft.set_name(name);
        set_meta(&mut draft, "kept", "as it was");
        for i in 0..100_000 {
            set_meta(&mut draft, "status", &format!("step {i}"));
        }
        assert!(draft.memory() < 32 * 1024, "{}", draft.memory());
        let span = draft.to_span(true);
        assert_eq!(span.meta.get("status").unwrap(), "step 99999");
        assert_eq!(span.meta.get("kept").unwrap(), "as it was");
        assert_eq!((&*span.name, &*span.resource), ("name", "name"));
    }

    #[test]
    fn what_was_put_in_since_a_mark_is_taken_out_with_its_text() {
        let mut draft = SpanDraft::default();
        set_meta(&mut draft, "kept", "1");
        let (mark, length) = (draft.mark(), draft.texts().len());
        set_meta(&mut draft, "gone", "2");
        set_metric(&mut draft, "gone", 2.0);
        draft.rewind(mark);
        set_metric(&mut draft, "kept", 1.0);

        assert_eq!(draft.texts().len(), length + "kept".len());
        let span = draft.to_span(true);
        let keys: Vec<_> = span.meta.iter().map(|(key, _)| key.as_ref()).collect();
        assert_eq!(keys, ["kept"]);
        let keys: Vec<_> = span.metrics.iter().map(|(key, _)| key.as_ref()).collect();
        assert_eq!(keys, ["kept"]);
    }
}
