//! The last changes to a chunk before it is encoded, made off the tracer's threads.

use super::events_json;
use libdd_tinybytes::BytesString;
use libdd_trace_utils::msgpack_encoder::v04::to_encoded_byte_len_from_v04;
use libdd_trace_utils::span::v04::SpanBytes;
use std::collections::HashSet;
use std::time::{Duration, UNIX_EPOCH};

/// Meta key of the high half of a 128-bit trace id, 16 lowercase hexadecimal digits
/// (Datadog's propagation format for 128-bit trace ids).
const TRACE_ID_HIGH: &str = "_dd.p.tid";

/// Makes the spans of chunks ready for the wire, which has room for 64 bits of a trace id: the root carries the rest as a
/// tag, unless the tracer has set it on any of them. Without `typed_events`, events become JSON in a tag.
pub fn prepare(chunks: &mut [Vec<SpanBytes>], typed_events: bool) {
    // Tracers put the second of a trace's start there, so that most traces of a payload share it with the one before.
    let mut last: Option<(u64, BytesString)> = None;
    for chunk in chunks {
        if !typed_events {
            chunk.iter_mut().for_each(move_events);
        }
        let high = chunk.first().map_or(0, |span| (span.trace_id >> 64) as u64);
        if high != 0
            && !chunk
                .iter()
                .any(|span| span.meta.contains_key(TRACE_ID_HIGH))
        {
            let same = last.take().filter(|(of_last, _)| *of_last == high);
            let new = || (high, format!("{high:016x}").into());
            let (_, tag) = last.insert(same.unwrap_or_else(new));
            let root = root(chunk);
            set_meta(&mut chunk[root], TRACE_ID_HIGH, tag.clone());
        }
    }
}

/// Makes the duration of a span one that statistics can be computed of: not negative, and no end beyond
/// the end of time. libdatadog would take it for a number without a sign.
pub fn limit_duration(span: &mut SpanBytes) {
    let end = span.start.saturating_add(span.duration.max(0));
    span.duration = end.saturating_sub(span.start);
}

/// Returns whether a span ends more than a minute from now. libdatadog keeps the statistics of each ten seconds until
/// that time has passed, for ever if need be, unless all are flushed.
pub fn ends_in_future(span: &SpanBytes) -> bool {
    let now = UNIX_EPOCH.elapsed().unwrap_or_default() + Duration::from_secs(60);
    // It takes the end for a number without a sign.
    let end = span.start.wrapping_add(span.duration) as u64;
    u128::from(end) > now.as_nanos()
}

/// Returns the bytes that a chunk takes in a v0.4 payload. Encodes it to count them.
pub fn encoded_len(chunk: &[SpanBytes]) -> usize {
    to_encoded_byte_len_from_v04(&[chunk]) as usize
}

fn move_events(span: &mut SpanBytes) {
    if let Some(json) = events_json::json(&span.span_events) {
        span.span_events.clear();
        set_meta(span, events_json::TAG, json.into());
    }
}

fn set_meta(span: &mut SpanBytes, key: &'static str, value: BytesString) {
    span.meta
        .insert_or_replace(BytesString::from_static(key), value);
}

/// Returns the index of the span that the others descend from: one without a parent, or else one whose parent is
/// elsewhere (in the caller of a distributed trace, or in a part that was sent before).
fn root(chunk: &[SpanBytes]) -> usize {
    let without_parent = chunk.iter().position(|span| span.parent_id == 0);
    let with_parent_elsewhere = || {
        let here: HashSet<u64> = chunk.iter().map(|span| span.span_id).collect();
        chunk
            .iter()
            .position(|span| !here.contains(&span.parent_id))
    };
    without_parent.or_else(with_parent_elsewhere).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use libdd_trace_utils::span::v04::SpanEventBytes;
    use std::slice::from_mut;

    fn span(span_id: u64, parent_id: u64) -> SpanBytes {
        SpanBytes {
            trace_id: (0xabc << 64) | 5,
            span_id,
            parent_id,
            ..Default::default()
        }
    }

    fn tags(mut chunk: Vec<SpanBytes>) -> Vec<Option<String>> {
        prepare(from_mut(&mut chunk), true);
        let tag = |span: &SpanBytes| {
            span.meta
                .get(TRACE_ID_HIGH)
                .map(BytesString::copy_to_string)
        };
        chunk.iter().map(tag).collect()
    }

    #[test]
    fn the_root_carries_the_high_half_of_the_trace_id() {
        let high = Some("0000000000000abc".to_owned());
        assert_eq!(tags(vec![span(3, 2), span(2, 0)]), [None, high.clone()]);
        assert_eq!(tags(vec![span(3, 2), span(2, 9)]), [None, high.clone()]);
        assert_eq!(tags(vec![span(3, 2), span(2, 3)]), [high, None]);
        let mut tagged = span(3, 2);
        set_meta(&mut tagged, TRACE_ID_HIGH, "own".into());
        assert_eq!(tags(vec![tagged, span(2, 0)]), [Some("own".into()), None]);
        let mut short = span(2, 0);
        short.trace_id = 5;
        assert_eq!(tags(vec![short]), [None]);
    }

    #[test]
    fn each_chunk_gets_the_high_half_of_its_own_trace_id() {
        let highs = [1, 1, 0, 2, 1].map(|high: u128| high << 64);
        let chunk = |trace_id| {
            vec![SpanBytes {
                trace_id,
                ..Default::default()
            }]
        };
        let mut chunks = highs.map(chunk);
        prepare(&mut chunks, true);
        let tags = chunks.map(|chunk| chunk[0].meta.get(TRACE_ID_HIGH).cloned());
        let expected = highs.map(|high| (high > 0).then(|| format!("{:016x}", high >> 64).into()));
        assert_eq!(tags, expected);
    }

    #[test]
    fn durations_are_such_that_statistics_can_be_computed() {
        for (start, duration, limited) in [
            (5, -1, 0),
            (-5, 3, 3),
            (i64::MAX - 1, 7, 1),
            (i64::MIN, i64::MAX, i64::MAX),
        ] {
            let mut span = SpanBytes {
                start,
                duration,
                ..Default::default()
            };
            limit_duration(&mut span);
            assert_eq!(span.duration, limited);
        }
    }

    #[test]
    fn the_future_is_what_comes_after_a_minute_and_what_ends_before_1970() {
        let now = UNIX_EPOCH.elapsed().unwrap().as_nanos() as i64;
        const SECOND: i64 = 1_000_000_000;
        for (start, duration, expected) in [
            (now, SECOND, false),
            (now + 50 * SECOND, SECOND, false),
            (now, 70 * SECOND, true),
            (i64::MAX, 1, true),
            (-2, 1, true),
            (-2, 2, false),
        ] {
            let span = SpanBytes {
                start,
                duration,
                ..Default::default()
            };
            assert_eq!(ends_in_future(&span), expected, "{start} {duration}");
        }
    }

    #[test]
    fn events_become_a_tag_for_agents_that_do_not_know_them() {
        let event = SpanEventBytes {
            name: "retry".into(),
            time_unix_nano: 7,
            ..Default::default()
        };
        for (typed, tag) in [
            (true, None),
            (false, Some(r#"[{"name":"retry","time_unix_nano":7}]"#)),
        ] {
            let mut chunk = vec![span(1, 0), span(2, 1)];
            chunk[0].span_events.push(event.clone());
            prepare(from_mut(&mut chunk), typed);
            let found = chunk[0].meta.get(events_json::TAG);
            assert_eq!(found.map(BytesString::as_str), tag);
            assert_eq!(chunk[0].span_events.is_empty(), !typed);
            assert!(!chunk[1].meta.contains_key(events_json::TAG));
        }
    }
}
