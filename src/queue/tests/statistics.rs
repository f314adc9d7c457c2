//! When statistics are flushed, and what is waited for.

use super::*;

fn queue_with_statistics() -> Arc<Queue> {
    queue(|config| config.stats = true)
}

#[tokio::test(start_paused = true)]
async fn a_flush_comes_after_the_chunks_before_it_and_is_waited_for() {
    let queue = queue_with_statistics();
    queue.push(chunks(&[1]), None);
    let flush = queue.flush();
    assert_eq!(queue.due().await, Some(Work::Payload));
    let (payload, _) = take(&queue);
    assert_eq!(queue.due().await, Some(Work::Statistics(1)));
    let outcome = accepted(&payload);
    payload.settle(outcome);
    assert!(!flush.wait(Duration::ZERO));
    let later = queue.flush();
    drop(queue.statistics_flush(1));
    assert!(flush.wait(Duration::ZERO) && !later.wait(Duration::ZERO));
    assert_eq!(queue.due().await, Some(Work::Statistics(2)));
    drop(queue.statistics_flush(2));
    assert!(later.wait(Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_flush_does_not_wait_for_what_is_sent_after_it() {
    let queue = queue_with_statistics();
    queue.push(chunks(&[1]), None);
    let _flush = queue.flush();
    let _payload = take(&queue);
    queue.push(chunks(&[2]), Some(responder().0));
    assert_eq!(queue.due().await, Some(Work::Statistics(1)));
    assert_eq!(queue.due().await, Some(Work::Payload));
}

#[test]
fn there_is_nothing_to_flush_before_the_first_chunk_or_after_the_end() {
    let queue = queue_with_statistics();
    assert!(queue.flush().wait(Duration::ZERO));
    queue.push(chunks(&[1]), None);
    let flush = queue.flush();
    queue.finish("the sender has stopped");
    assert!(flush.wait(Duration::ZERO) && queue.flush().wait(Duration::ZERO));
}

#[test]
fn requests_under_way_are_lost_with_the_sender() {
    let lost = queue_with_statistics();
    for _ in 0..3 {
        lost.statistics_begin();
    }
    lost.statistics_sent();
    let stats = Queue::in_place_of(&lost, &config()).stats();
    assert_eq!(
        (stats.stats_payloads_sent, stats.stats_payloads_dropped),
        (1, 2)
    );
}
