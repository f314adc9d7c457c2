//! How long threads wait.

use super::*;

/// Returns whether the wait is over, without waiting.
fn is_over(waiter: &Waiter) -> bool {
    waiter.wait(Duration::ZERO)
}

#[test]
fn a_flush_is_over_when_all_chunks_before_it_are_settled() {
    let queue = queue(|config| config.max_payload_bytes = SPAN_BYTES);
    queue.push(chunks(&[1, 1]), None);
    let flush = queue.flush();
    queue.push(chunks(&[1]), None);
    let (first, _) = take(&queue);
    let (second, _) = take(&queue);
    let (_third, _) = take(&queue);
    for payload in [second, first] {
        assert!(!is_over(&flush));
        let outcome = accepted(&payload);
        payload.settle(outcome);
    }
    assert!(is_over(&flush), "the third chunk came later");
}

#[test]
fn a_flush_of_an_empty_queue_is_over_at_once() {
    assert!(is_over(&queue(|_| ()).flush()));
}

#[test]
fn evicted_chunks_are_settled() {
    let queue = bounded(2, WhenFull::DropOldest);
    queue.push(chunks(&[1, 1]), None);
    let flush = queue.flush();
    queue.push(chunks(&[2]), None);
    assert!(is_over(&flush));
}

#[test]
fn a_waiting_thread_is_woken() {
    let queue = queue(|_| ());
    queue.push(chunks(&[1]), None);
    let flush = queue.flush();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| flush.wait(Duration::from_secs(60)));
        while queue.lock().waiters.is_empty() {
            std::thread::yield_now();
        }
        drop(take(&queue));
        assert!(waiting.join().unwrap());
    });
}

#[test]
fn an_interrupt_ends_a_wait_that_goes_on_and_nothing_else() {
    let queue = queue(|_| ());
    queue.push(chunks(&[1]), None);
    let flush = queue.flush();
    let interrupt = Interrupt::of_this_thread();
    interrupt.request();
    assert!(!flush.wait_unless(&interrupt, Duration::from_secs(60)));
    drop(take(&queue));
    interrupt.request();
    assert!(flush.wait_unless(&interrupt, Duration::from_secs(60)));
}

#[test]
fn the_wait_for_the_end_is_over_when_the_sender_has_finished() {
    let queue = queue(|_| ());
    let waiter = Waiter::new(Arc::clone(&queue), WaitFor::Finished);
    queue.close();
    assert!(!is_over(&waiter));
    queue.finish("");
    assert!(is_over(&waiter));
}
