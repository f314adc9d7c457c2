//! Counts the chunks and spans of an encoded v0.4 payload, and cuts it in two between chunks, without
//! decoding it.
//!
//! The trace exporter owns the spans until its send ends, so that a refused payload cannot be encoded
//! again in parts.

use crate::queue::Count;
use bytes::Bytes;
use rmp::Marker;
use rmp::decode::{read_array_len, read_marker};
use rmp::encode::{ByteBuf, write_array_len};

/// A half of a payload.
#[derive(Debug, PartialEq)]
pub struct Half {
    pub body: Bytes,
    pub count: Count,
}

/// Returns the number of chunks and spans of a payload, or `None` if it is not in the v0.4 format.
pub fn count(body: &Bytes) -> Option<Count> {
    let mut rest = &body[..];
    let chunks = read_array_len(&mut rest).ok()? as usize;
    let mut spans = 0;
    for _ in 0..chunks {
        spans += skip_chunk(&mut rest)?;
    }
    Some(Count { chunks, spans })
}

/// Returns two payloads of about the same size that together hold the chunks of `body`, in their
/// order, or `None` if it has only one.
pub fn halves(body: &Bytes) -> Option<[Half; 2]> {
    let mut rest = &body[..];
    let chunks = read_array_len(&mut rest).ok()? as usize;
    if chunks < 2 {
        return None;
    }
    let start = body.len() - rest.len();
    let middle = start + rest.len() / 2;
    let mut spans = 0;
    let mut first = None;
    for chunk in 0..chunks {
        let position = body.len() - rest.len();
        if first.is_none() && chunk > 0 && (position >= middle || chunk + 1 == chunks) {
            first = Some((position, chunk, spans));
        }
        spans += skip_chunk(&mut rest)?;
    }
    let (position, first_chunks, first_spans) = first?;
    let half = |bytes: &[u8], chunks: usize, spans| {
        let mut half = ByteBuf::with_capacity(bytes.len() + 5);
        // Writing to memory does not fail.
        let _ = write_array_len(&mut half, chunks as u32);
        let mut half = half.into_vec();
        half.extend_from_slice(bytes);
        Half {
            body: half.into(),
            count: Count { chunks, spans },
        }
    };
    Some([
        half(&body[start..position], first_chunks, first_spans),
        half(
            &body[position..],
            chunks - first_chunks,
            spans - first_spans,
        ),
    ])
}

/// Moves past a chunk. Returns the number of its spans.
fn skip_chunk(rest: &mut &[u8]) -> Option<usize> {
    let length = read_array_len(rest).ok()?;
    (0..length).try_for_each(|_| skip(rest))?;
    Some(length as usize)
}

/// Moves past one value. Nested values are counted instead of recursed into, so that no depth
/// overflows the stack.
fn skip(rest: &mut &[u8]) -> Option<()> {
    let mut values = 1u64;
    while values > 0 {
        values -= 1;
        let bytes = match read_marker(rest).ok()? {
            Marker::Null | Marker::True | Marker::False | Marker::FixPos(_) | Marker::FixNeg(_) => {
                0
            }
            Marker::U8 | Marker::I8 => 1,
            Marker::U16 | Marker::I16 => 2,
            Marker::U32 | Marker::I32 | Marker::F32 => 4,
            Marker::U64 | Marker::I64 | Marker::F64 => 8,
            Marker::FixStr(length) => u64::from(length),
            Marker::Str8 | Marker::Bin8 => number(rest, 1)?,
            Marker::Str16 | Marker::Bin16 => number(rest, 2)?,
            Marker::Str32 | Marker::Bin32 => number(rest, 4)?,
            Marker::FixArray(length) => inside(&mut values, length.into()),
            Marker::Array16 => inside(&mut values, number(rest, 2)?),
            Marker::Array32 => inside(&mut values, number(rest, 4)?),
            Marker::FixMap(length) => inside(&mut values, 2 * u64::from(length)),
            Marker::Map16 => inside(&mut values, 2 * number(rest, 2)?),
            Marker::Map32 => inside(&mut values, 2 * number(rest, 4)?),
            // A span has none of these.
            _ => return None,
        };
        *rest = rest.get(bytes as usize..)?;
    }
    Some(())
}

fn inside(values: &mut u64, more: u64) -> u64 {
    *values += more;
    0
}

fn number(rest: &mut &[u8], bytes: usize) -> Option<u64> {
    let (number, after) = rest.split_at_checked(bytes)?;
    *rest = after;
    Some(
        number
            .iter()
            .fold(0, |sum, byte| (sum << 8) | u64::from(*byte)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use libdd_tinybytes::BytesString;
    use libdd_trace_utils::msgpack_decoder;
    use libdd_trace_utils::msgpack_encoder::v04::to_vec_from_v04;
    use libdd_trace_utils::span::v04::SpanBytes;

    fn payload(chunk_lengths: &[usize]) -> Bytes {
        let span = |id| {
            let mut span = SpanBytes {
                span_id: id,
                start: 1_700_000_000_000_000_000,
                name: BytesString::from("x".repeat(40 * (id as usize % 9))),
                ..Default::default()
            };
            span.meta
                .insert("k".into(), BytesString::from("v".repeat(300)));
            span.metrics.insert("m".into(), -1.5);
            span.meta_struct.insert("s".into(), vec![1; 70_000].into());
            span.dedup();
            span
        };
        let chunks: Vec<Vec<SpanBytes>> = chunk_lengths
            .iter()
            .map(|length| (1..=*length as u64).map(span).collect())
            .collect();
        to_vec_from_v04(&chunks).into()
    }

    #[test]
    fn the_halves_hold_the_chunks_in_their_order() {
        for lengths in [&[1, 1][..], &[5, 1, 1], &[1, 1, 5], &[3; 40]] {
            let whole = payload(lengths);
            let [first, second] = halves(&whole).unwrap();
            let mut seen = Vec::new();
            for half in [first, second] {
                let (chunks, _) = msgpack_decoder::v04::from_slice(&half.body).unwrap();
                assert_eq!(chunks.len(), half.count.chunks);
                assert_eq!(chunks.iter().map(Vec::len).sum::<usize>(), half.count.spans);
                assert!(half.count.chunks > 0);
                seen.extend(chunks.iter().map(Vec::len));
            }
            assert_eq!(seen, lengths);
        }
    }

    #[test]
    fn chunks_and_spans_are_counted() {
        for lengths in [&[][..], &[1], &[3, 1, 20]] {
            let (chunks, spans) = (lengths.len(), lengths.iter().sum());
            assert_eq!(count(&payload(lengths)), Some(Count { chunks, spans }));
        }
        assert_eq!(count(&Bytes::from_static(b"nonsense")), None);
    }

    #[test]
    fn a_single_chunk_and_anything_but_a_payload_stay_whole() {
        assert_eq!(halves(&payload(&[7])), None);
        let whole = payload(&[2, 2]);
        assert_eq!(halves(&whole.slice(..whole.len() - 1)), None);
        assert_eq!(halves(&Bytes::from_static(b"nonsense")), None);
    }
}
