//! Which chunks share a payload.

use super::*;

fn packed(max_payload_spans: usize, sizes: &[usize]) -> Vec<Vec<usize>> {
    let queue = queue(|config| config.max_payload_bytes = max_payload_spans * SPAN_BYTES);
    queue.push(chunks(sizes), None);
    take_all(&queue)
}

#[test]
fn payloads_are_filled_up_to_their_size_in_order() {
    assert_eq!(packed(10, &[4, 4, 4, 2, 4]), [vec![4, 4], vec![4, 2, 4]]);
}

#[test]
fn a_chunk_larger_than_a_payload_goes_alone() {
    assert_eq!(packed(5, &[1, 9, 1, 1]), [vec![1], vec![9], vec![1, 1]]);
}

#[test]
fn chunks_of_several_exports_share_a_payload() {
    let queue = queue(|_| ());
    for spans in 1..=3 {
        queue.push(chunks(&[spans]), None);
    }
    assert_eq!(take_all(&queue), [[1, 2, 3]]);
}

#[test]
fn chunks_of_a_synchronous_send_are_not_mixed_with_others() {
    let queue = queue(|_| ());
    queue.push(chunks(&[1]), None);
    queue.push(chunks(&[2, 3]), Some(responder().0));
    queue.push(chunks(&[4]), Some(responder().0));
    queue.push(chunks(&[5]), None);
    let all = take_all(&queue);
    assert_eq!(all, [vec![1], vec![2, 3], vec![4], vec![5]]);
}

#[test]
fn spans_of_the_sdk_are_not_mixed_with_others() {
    let carried = |spans| {
        let mut chunk = chunk(spans);
        chunk.spans[0]
            .meta_struct
            .insert("otlp.span".into(), vec![].into());
        chunk
    };
    let queue = queue(|_| ());
    queue.push(list([carried(1), carried(2), chunk(3), carried(4)]), None);
    assert_eq!(take_all(&queue), [vec![1, 2], vec![3], vec![4]]);
}

#[test]
fn a_chunk_that_may_be_too_large_for_the_agent_goes_alone() {
    let queue = queue(|config| {
        config.max_payload_bytes = usize::MAX;
        config.max_queue_bytes = usize::MAX;
    });
    let mut large = chunk(2);
    large.size.wire = AGENT_MAX_BYTES + 1;
    queue.push(list([chunk(1), large, chunk(3), chunk(4)]), None);
    assert_eq!(take_all(&queue), [vec![1], vec![2], vec![3, 4]]);
}

#[test]
fn spans_keep_their_order() {
    let queue = queue(|_| ());
    queue.push(list([named("a", 1), named("b", 1)]), None);
    let mut payload = queue.take().unwrap();
    let chunks = payload.take_chunks();
    assert_eq!(
        (chunks[0][0].name.as_str(), chunks[1][0].name.as_str()),
        ("a", "b")
    );
}
