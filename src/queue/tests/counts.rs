//! What is counted, and that the counts add up.

use super::*;

#[test]
fn spans_are_exported_queued_in_flight_and_sent() {
    let queue = queue(|_| ());
    queue.push(chunks(&[2, 3]), None);
    assert_eq!(queue.stats().queued.chunks, 2);
    assert_adds_up(&queue);
    let (payload, _) = take(&queue);
    assert_eq!(
        (queue.stats().queued, queue.stats().in_flight.spans),
        (Size::default(), 5)
    );
    assert_adds_up(&queue);
    let outcome = accepted(&payload);
    payload.settle(outcome);
    let stats = queue.stats();
    assert_eq!(
        (stats.spans_sent, stats.payloads_sent, stats.bytes_sent),
        (5, 1, 100)
    );
    assert_eq!(
        (stats.in_flight, stats.last_error.clone()),
        (Size::default(), None)
    );
    assert_adds_up(&queue);
}

#[test]
fn a_payload_that_is_dropped_unsettled_is_an_internal_loss() {
    let queue = queue(|_| ());
    queue.push(chunks(&[2]), None);
    let (payload, _) = take(&queue);
    payload.tracker().encoded(7);
    drop(payload);
    assert_eq!(dropped(&queue, Loss::Internal), 2);
    assert_eq!(queue.stats().in_flight, Size::default());
    assert_adds_up(&queue);
}

#[test]
fn chunks_without_spans_count_for_nothing() {
    let queue = queue(|_| ());
    assert!(queue.push(chunks(&[0, 0]), None));
    assert!(queue.push(TraceChunks::default(), None));
    assert!(queue.is_empty());
    assert_eq!(queue.stats().spans_exported, 0);
}

#[test]
fn nothing_is_taken_after_closing() {
    let queue = queue(|_| ());
    queue.push(chunks(&[1]), None);
    queue.close();
    assert!(!queue.push(chunks(&[2]), None));
    assert_eq!(dropped(&queue, Loss::Closed), 2);
    assert_eq!(take_all(&queue), [[1]]);
    assert_adds_up(&queue);
}

#[test]
fn what_is_queued_or_comes_when_nothing_is_sent_any_more_is_an_internal_loss() {
    let queue = queue(|_| ());
    let (before, slot_before) = responder();
    queue.push(chunks(&[1, 2]), Some(before));
    queue.finish("the sender has stopped");
    assert_eq!(dropped(&queue, Loss::Internal), 3);
    let (after, slot_after) = responder();
    assert!(!queue.push(chunks(&[4]), Some(after)));
    assert_eq!(dropped(&queue, Loss::Internal), 7);
    let lost = PartOutcome::unsent(Loss::Internal, "the sender has stopped".into());
    for slot in [slot_before, slot_after] {
        assert_eq!(slot.get().unwrap().result, lost);
    }
    assert!(queue.flush().wait(Duration::ZERO));
    assert_adds_up(&queue);
}

#[test]
fn losses_leave_a_line_for_the_log() {
    let queue = bounded(1, WhenFull::DropNewest);
    assert!(!queue.has_lines());
    queue.push(chunks(&[2]), None);
    assert!(queue.has_lines());
    let lines = queue.take_lines();
    assert!(lines[0].contains("(queue_full): the queue holds its limit"));
    assert!(!queue.has_lines());
}
