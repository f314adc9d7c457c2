//! The obvious lowering, which allocates for each string, and the minimum: the same reads without storing.

use crate::reading::{InstanceVariables, Numbers, Store};
use libdd_tinybytes::BytesString;
use libdd_trace_utils::span::v04::{SpanBytes, VecMap};
use magnus::rb_sys::AsRawValue;
use magnus::{Error, Object, RArray, RModule, function};
use std::cell::RefCell;
use std::hint::black_box;

#[derive(Default)]
struct Naive {
    spans: Vec<SpanBytes>,
    meta: VecMap<BytesString, BytesString>,
    metrics: VecMap<BytesString, f64>,
}

impl Store for Naive {
    type Text = BytesString;

    fn text(&mut self, text: &[u8]) -> BytesString {
        BytesString::from_slice(text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn maps(&mut self, meta: usize, metrics: usize) {
        self.meta = VecMap::with_capacity(meta);
        self.metrics = VecMap::with_capacity(metrics);
    }

    fn meta(&mut self, key: &[u8], value: &[u8]) {
        let (key, value) = (self.text(key), self.text(value));
        self.meta.insert(key, value);
    }

    fn metric(&mut self, key: &[u8], value: f64) {
        let key = self.text(key);
        self.metrics.insert(key, value);
    }

    fn end_span(&mut self, [name, service, resource, r#type]: [BytesString; 4], numbers: Numbers) {
        self.spans.push(SpanBytes {
            name,
            service,
            resource,
            r#type,
            trace_id: numbers.trace_id,
            span_id: numbers.span_id,
            parent_id: numbers.parent_id,
            start: numbers.start,
            duration: numbers.duration,
            error: numbers.error,
            meta: std::mem::take(&mut self.meta),
            metrics: std::mem::take(&mut self.metrics),
            ..SpanBytes::default()
        });
    }
}

#[derive(Default)]
struct Minimum {
    bytes: usize,
}

impl Store for Minimum {
    type Text = ();

    fn text(&mut self, text: &[u8]) {
        self.bytes += black_box(text).len();
    }

    fn maps(&mut self, _: usize, _: usize) {}

    fn meta(&mut self, key: &[u8], value: &[u8]) {
        self.text(key);
        self.text(value);
    }

    fn metric(&mut self, key: &[u8], value: f64) {
        self.text(key);
        black_box(value);
    }

    fn end_span(&mut self, _: [(); 4], numbers: Numbers) {
        black_box(numbers);
    }
}

thread_local! {
    static INSTANCE_VARIABLES: InstanceVariables = InstanceVariables::new();
    /// What was lowered, until it is counted: freeing it is not a part of lowering.
    static LOWERED: RefCell<Vec<Vec<SpanBytes>>> = const { RefCell::new(Vec::new()) };
}

fn read<S: Store>(spans: RArray, store: &mut S) {
    INSTANCE_VARIABLES.with(|variables| {
        for index in 0..spans.len() {
            // SAFETY: the array keeps the span alive, and the workload has made it as is asked for.
            unsafe {
                let span = rb_sys::rb_ary_entry(spans.as_raw(), index as _);
                variables.read(span, store);
            }
        }
    });
}

fn naive(spans: RArray) {
    let mut naive = Naive {
        spans: Vec::with_capacity(spans.len()),
        ..Naive::default()
    };
    read(spans, &mut naive);
    LOWERED.with_borrow_mut(|lowered| lowered.push(naive.spans));
}

/// Frees what was lowered, and returns the bytes of text that it held. That is done in another thread, as it is
/// when it was sent, since memory that comes back from there has to be fetched again.
fn take_naive() -> usize {
    let lowered = LOWERED.take();
    let taken = std::thread::spawn(move || lowered.iter().flatten().map(text_bytes).sum());
    taken.join().unwrap_or_default()
}

fn text_bytes(span: &SpanBytes) -> usize {
    let labels = [&span.name, &span.service, &span.resource, &span.r#type];
    let meta = span.meta.iter().flat_map(|(key, value)| [key, value]);
    let metrics = span.metrics.iter().map(|(key, _)| key);
    let texts = labels.into_iter().chain(meta).chain(metrics);
    texts.map(|text| text.as_str().len()).sum()
}

/// Returns the bytes of text that it saw.
fn minimum(spans: RArray) -> usize {
    let mut minimum = Minimum::default();
    read(spans, &mut minimum);
    minimum.bytes
}

pub fn init(module: RModule) -> Result<(), Error> {
    module.define_singleton_method("naive", function!(naive, 1))?;
    module.define_singleton_method("take_naive", function!(take_naive, 0))?;
    module.define_singleton_method("minimum", function!(minimum, 1))
}
