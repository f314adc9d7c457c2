//! When chunks are due.

use super::*;

/// Returns after how many milliseconds chunks are due.
async fn due_after(queue: &Queue) -> u128 {
    let began = Instant::now();
    assert_eq!(queue.due().await, Some(Work::Payload));
    began.elapsed().as_millis()
}

#[tokio::test(start_paused = true)]
async fn chunks_wait_for_the_flush_interval_of_the_oldest() {
    let queue = queue(|config| config.flush_interval = Duration::from_millis(300));
    queue.push(chunks(&[1]), None);
    tokio::time::advance(Duration::from_millis(200)).await;
    queue.push(chunks(&[1]), None);
    assert_eq!(due_after(&queue).await, 100);
    assert_eq!(take_all(&queue), [[1, 1]]);
    queue.push(chunks(&[1]), None);
    assert_eq!(due_after(&queue).await, 300);
}

#[tokio::test(start_paused = true)]
async fn a_flush_a_synchronous_send_or_closing_makes_chunks_due_at_once() {
    let send = |queue: &Arc<Queue>| {
        queue.push(chunks(&[1]), Some(responder().0));
    };
    for (index, hurry) in [
        |queue: &Arc<Queue>| drop(queue.flush()),
        send,
        |queue: &Arc<Queue>| queue.close(),
    ]
    .into_iter()
    .enumerate()
    {
        let queue = queue(|_| ());
        queue.push(chunks(&[1]), None);
        hurry(&queue);
        assert_eq!(due_after(&queue).await, 0, "{index}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_flush_does_not_hurry_what_comes_after_it() {
    let queue = queue(|config| config.flush_interval = Duration::from_millis(300));
    drop(queue.flush());
    queue.push(chunks(&[1]), None);
    assert_eq!(due_after(&queue).await, 300);
}

#[tokio::test(start_paused = true)]
async fn a_megabyte_is_due_at_once() {
    let queue = bounded(usize::MAX / 2, WhenFull::DropNewest);
    let spans = SEND_EARLY_BYTES.div_ceil(SPAN_BYTES);
    queue.push(chunks(&[spans / 2 - 1]), None);
    let waiting = tokio::spawn({
        let queue = Arc::clone(&queue);
        async move { due_after(&queue).await }
    });
    tokio::task::yield_now().await;
    queue.push(chunks(&[400]), None);
    assert!(!waiting.is_finished());
    queue.push(chunks(&[spans / 2 - 398]), None);
    assert_eq!(waiting.await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_due_any_more_once_the_closed_queue_is_empty() {
    let queue = queue(|_| ());
    queue.push(chunks(&[1]), None);
    queue.close();
    assert_eq!(queue.due().await, Some(Work::Payload));
    drop(queue.take());
    assert_eq!(queue.due().await, None);
}
