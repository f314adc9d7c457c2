//! What becomes of a queue whose sender cannot be woken any more.

use super::*;

#[test]
fn a_queue_takes_the_place_of_one_whose_sender_is_lost() {
    let lost = queue(|_| ());
    lost.push(chunks(&[1]), None);
    let (in_flight, _) = take(&lost);
    in_flight.tracker().encoded(7);
    lost.push(chunks(&[2, 3]), None);
    let flush = lost.flush();
    lost.lose_sender();
    assert!(!flush.wait(Duration::from_secs(60)), "nobody can end it");
    let queue = Arc::new(Queue::in_place_of(&lost, &config()));
    assert_eq!(dropped(&queue, Loss::Internal), 1);
    assert_eq!(queue.stats().in_flight, Size::default());
    assert_adds_up(&queue);
    let outcome = accepted(&in_flight);
    in_flight.settle(outcome);
    assert_eq!((queue.stats().spans_sent, lost.stats().spans_sent), (0, 0));
    assert_eq!(take_all(&queue), [[2, 3]]);
}
