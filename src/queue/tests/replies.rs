//! What synchronous sends are told.

use super::*;

#[test]
fn a_send_is_answered_when_all_of_its_payloads_are_settled() {
    let queue = queue(|config| config.max_payload_bytes = SPAN_BYTES);
    let (responder, slot) = responder();
    queue.push(chunks(&[1, 1]), Some(responder));
    for _ in 0..2 {
        assert_eq!(slot.get(), None);
        let (payload, _) = take(&queue);
        let outcome = accepted(&payload);
        payload.settle(outcome);
    }
    assert_eq!(slot.get().unwrap().accepted, 2);
}

#[test]
fn a_send_learns_that_it_found_no_room_was_evicted_or_came_too_late() {
    let full = bounded(1, WhenFull::DropNewest);
    let evicting = bounded(1, WhenFull::DropOldest);
    let closed = queue(|_| ());
    closed.close();
    for (queue, spans, loss) in [
        (full, 2, Loss::QueueFull),
        (evicting, 1, Loss::QueueFull),
        (closed, 1, Loss::Closed),
    ] {
        let (responder, slot) = responder();
        queue.push(chunks(&[spans]), Some(responder));
        queue.push(chunks(&[1]), None);
        let outcome = slot.get().expect("it is answered");
        let PartOutcome::Lost { loss: found, .. } = &outcome.result else {
            panic!("{outcome:?}");
        };
        assert_eq!((*found, outcome.accepted), (loss, 0));
    }
}

#[test]
fn a_send_of_nothing_is_accepted() {
    let (responder, slot) = responder();
    queue(|_| ()).push(chunks(&[]), Some(responder));
    let accepted = PartOutcome::Accepted {
        body: String::new(),
        chunks: 0,
    };
    assert_eq!(slot.get().unwrap().result, accepted);
}

#[test]
fn a_send_whose_payload_is_dropped_unsettled_is_an_internal_loss() {
    let queue = queue(|_| ());
    let (responder, slot) = responder();
    queue.push(chunks(&[1]), Some(responder));
    drop(take(&queue));
    let lost = PartOutcome::unsent(
        Loss::Internal,
        "the sender stopped at an internal error".into(),
    );
    assert_eq!(slot.get().unwrap().result, lost);
}
