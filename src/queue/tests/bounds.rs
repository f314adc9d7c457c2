//! The queue's bounds in spans and bytes, and what is dropped beyond them.

use super::*;

#[test]
fn chunks_beyond_the_bound_in_spans_are_lost() {
    let queue = bounded(10, WhenFull::DropNewest);
    assert!(queue.push(chunks(&[4, 4]), None));
    assert!(!queue.push(chunks(&[2, 1]), None), "one of both fits");
    assert_eq!(queue.stats().queued.spans, 10);
    assert_eq!(dropped(&queue, Loss::QueueFull), 1);
    assert_eq!(take_all(&queue), [[4, 4, 2]]);
    assert_adds_up(&queue);
}

#[test]
fn chunks_beyond_the_bound_in_bytes_are_lost() {
    let queue = queue(|config| config.max_queue_bytes = 3 * SPAN_BYTES);
    assert!(queue.push(chunks(&[2]), None));
    assert!(!queue.push(chunks(&[2]), None));
    assert!(queue.push(chunks(&[1]), None));
    assert_eq!(queue.stats().queued.memory, 3 * SPAN_BYTES);
    let error = queue.stats().last_error.unwrap();
    assert!(error.contains("holds its limit of 1000 spans or 3000 bytes"));
}

#[test]
fn chunks_are_taken_in_order_so_that_the_first_loss_ends_it() {
    let queue = bounded(5, WhenFull::DropNewest);
    assert!(!queue.push(chunks(&[4, 3, 1]), None));
    assert_eq!(take_all(&queue), [[4]]);
    assert_eq!(dropped(&queue, Loss::QueueFull), 4);
}

#[test]
fn payloads_in_flight_count_with_their_encoded_form() {
    let queue = queue(|config| config.max_queue_bytes = 10 * SPAN_BYTES);
    queue.push(chunks(&[4]), None);
    let (payload, _) = take(&queue);
    let tracker = payload.tracker();
    tracker.encoded(5 * SPAN_BYTES);
    assert_eq!(queue.stats().in_flight.memory, 9 * SPAN_BYTES);
    assert!(!queue.push(chunks(&[2]), None));
    assert!(queue.push(chunks(&[1]), None));
    assert_adds_up(&queue);
    let outcome = accepted(&payload);
    payload.settle(outcome);
    assert_eq!(queue.stats().in_flight, Size::default());
    assert!(queue.push(chunks(&[9]), None));
    assert_adds_up(&queue);
}

#[test]
fn drop_oldest_evicts_whole_chunks_for_newer_ones() {
    let queue = bounded(10, WhenFull::DropOldest);
    queue.push(chunks(&[4, 3, 3]), None);
    assert!(queue.push(chunks(&[1, 4]), None));
    assert_eq!(dropped(&queue, Loss::QueueFull), 7);
    assert_eq!(take_all(&queue), [[3, 1, 4]]);
    assert_adds_up(&queue);
}

#[test]
fn drop_oldest_never_evicts_for_a_chunk_that_cannot_fit() {
    let queue = bounded(10, WhenFull::DropOldest);
    queue.push(chunks(&[6]), None);
    let (_in_flight, _) = take(&queue);
    queue.push(chunks(&[3]), None);
    assert!(!queue.push(chunks(&[5]), None), "six are in flight");
    assert_eq!(take_all(&queue), [[3]]);
    assert_eq!(dropped(&queue, Loss::QueueFull), 5);
}

#[test]
fn drop_oldest_keeps_the_first_chunks_of_a_list_larger_than_the_queue() {
    let queue = bounded(5, WhenFull::DropOldest);
    queue.push(chunks(&[5]), None);
    assert!(!queue.push(chunks(&[2, 3, 1]), None));
    assert_eq!(take_all(&queue), [[2, 3]]);
    assert_eq!(dropped(&queue, Loss::QueueFull), 6);
}
