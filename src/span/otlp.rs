//! The last changes to spans before they are sent by OTLP, made off the tracer's threads.

use super::SpanBytes;
use crate::config::OtlpProtocol;
use crate::queue::Count;
use libdd_trace_utils::span::BytesData;
use libdd_trace_utils::span::span_pool::PooledChunks;
use libdd_trace_utils::span::trace_utils;

/// The most attributes that libdatadog sends of a span, its name, service, resource and type included.
const MAX_ATTRIBUTES: usize = 128;
/// The most events that it sends of a span.
const MAX_EVENTS: usize = 128;

/// Values that OTLP has no room for.
#[derive(Debug, Default, PartialEq)]
pub struct LeftOutOfOtlp {
    pub values: usize,
    /// Says what was wrong with the first.
    pub example: Option<String>,
}

impl LeftOutOfOtlp {
    fn add(&mut self, values: usize, problem: impl FnOnce() -> String) {
        self.values += values;
        if values > 0 {
            self.example.get_or_insert_with(problem);
        }
    }
}

/// Makes spans ready to be sent by OTLP: a span is named by its resource there, which therefore must
/// not be empty, and its end is a time.
pub fn prepare_for_otlp(chunks: &mut [Vec<SpanBytes>], protocol: OtlpProtocol) -> LeftOutOfOtlp {
    let mut left_out = leave_out_infinities(chunks, protocol);
    for span in chunks.iter_mut().flatten() {
        if span.resource.as_str().is_empty() {
            span.resource = span.name.clone();
        }
        span.duration = span.start.saturating_add(span.duration) - span.start;
        let labels = [&span.service, &span.name, &span.resource, &span.r#type];
        let labels = labels.iter().filter(|label| !label.as_str().is_empty());
        let attributes =
            labels.count() + span.meta.len() + span.metrics.len() + span.meta_struct.len();
        left_out.add(attributes.saturating_sub(MAX_ATTRIBUTES), || {
            let name = span.name.as_str();
            format!("{name:?} has {attributes} tags, OTLP takes {MAX_ATTRIBUTES}")
        });
        let events = span.span_events.len();
        left_out.add(events.saturating_sub(MAX_EVENTS), || {
            let name = span.name.as_str();
            format!("{name:?} has {events} events, OTLP takes {MAX_EVENTS}")
        });
    }
    left_out
}

/// Takes out what JSON has no number for: infinities, and NaN.
pub fn leave_out_infinities(
    chunks: &mut [Vec<SpanBytes>],
    protocol: OtlpProtocol,
) -> LeftOutOfOtlp {
    let mut left_out = LeftOutOfOtlp::default();
    if protocol != OtlpProtocol::HttpJson {
        return left_out;
    }
    for span in chunks.iter_mut().flatten() {
        span.metrics.retain_mut(|key, value| {
            let is_number = value.is_finite();
            left_out.add(usize::from(!is_number), || {
                let key = key.as_str();
                format!("metrics[{key:?}] is {value}, which JSON has no number for")
            });
            is_number
        });
    }
    left_out
}

/// Takes out what no receiver of OTLP needs: unsampled traces without errors. libdatadog would do the
/// same later and not tell. Returns what was taken out.
pub fn drop_unsampled(chunks: &mut PooledChunks<'_, BytesData>) -> Count {
    let dropped = trace_utils::drop_chunks(chunks);
    Count {
        chunks: dropped.dropped_p0_traces,
        spans: dropped.dropped_p0_spans,
    }
}
