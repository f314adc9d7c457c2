//! The queue's bounds, counts and packing.

use super::*;
use crate::span::{AGENT_MAX_BYTES, Size, TraceChunks};
use crate::testing::{SPAN_BYTES, chunk, chunks, config, list, named};

fn queue(change: impl FnOnce(&mut Config)) -> Arc<Queue> {
    let mut config = config();
    change(&mut config);
    Arc::new(Queue::new(&config))
}

fn bounded(max_queue_spans: usize, when_full: WhenFull) -> Arc<Queue> {
    queue(|config| {
        config.max_queue_spans = max_queue_spans;
        config.when_full = when_full;
    })
}

fn responder() -> (Arc<Responder>, ReplySlot) {
    let slot = ReplySlot::default();
    (Responder::new(Arc::clone(&slot)), slot)
}

/// Returns the number of spans in each chunk of the next payload.
fn take(queue: &Arc<Queue>) -> (Payload, Vec<usize>) {
    let mut payload = queue.take().expect("something is queued");
    let spans = payload.take_chunks().iter().map(Vec::len).collect();
    (payload, spans)
}

fn take_all(queue: &Arc<Queue>) -> Vec<Vec<usize>> {
    std::iter::from_fn(|| queue.take())
        .map(|mut payload| payload.take_chunks().iter().map(Vec::len).collect())
        .collect()
}

fn accepted(payload: &Payload) -> Outcome {
    let size = payload.size();
    let accepted = Accepted {
        count: size.into(),
        bytes: 100,
        body: "{}".into(),
        agent_state: None,
    };
    Outcome {
        accepted: vec![accepted],
        ..Outcome::default()
    }
}

fn dropped(queue: &Queue, loss: Loss) -> u64 {
    queue.stats().dropped[loss as usize]
}

#[track_caller]
fn assert_adds_up(queue: &Queue) {
    let stats = queue.stats();
    let held = (stats.queued.spans + stats.in_flight.spans) as u64;
    let settled = stats.spans_sent + stats.spans_sampled_out + stats.dropped.iter().sum::<u64>();
    assert_eq!(stats.spans_exported, settled + held, "{stats:?}");
    assert_eq!(stats.unsettled(), held);
}

mod bounds {
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
}

mod counts {
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
}

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

mod at_the_end {
    use super::*;

    #[test]
    fn unsent_spans_are_described_with_their_destination_and_the_cause() {
        let queue = queue(|_| ());
        assert_eq!(queue.take_unsent_line(), None);
        queue.push(chunks(&[2, 1]), None);
        let line = queue.take_unsent_line().unwrap();
        let expected =
            "3 spans are lost: the process ends, on their way to http://agent:8126 (no answer yet)";
        assert_eq!(line, expected);
        assert_eq!(queue.take_unsent_line(), None, "they have been described");
        queue.push(chunks(&[4]), None);
        let (payload, _) = take(&queue);
        payload.tracker().attempt_failed("connection refused");
        let line = queue.take_unsent_line().unwrap();
        assert!(line.starts_with("4 spans") && line.ends_with("(connection refused)"));
        let outcome = accepted(&payload);
        payload.settle(outcome);
        assert_eq!(queue.take_unsent_line(), None);
    }

    #[test]
    fn unsent_statistics_are_described_once() {
        let queue = queue(|_| ());
        queue.statistics_begin();
        queue.statistics_begin();
        queue.statistics_sent();
        let expected = "statistics of spans are lost: the process ends, on their way to http://agent:8126 (no answer yet)";
        assert_eq!(queue.take_unsent_line().unwrap(), expected);
        assert_eq!(queue.take_unsent_line(), None);
        queue.statistics_lost("refused");
        queue.statistics_begin();
        queue.push(chunks(&[2]), None);
        let line = queue.take_unsent_line().unwrap();
        assert!(line.starts_with("2 spans are lost, and statistics of others: the process ends"));
    }
}

mod statistics {
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
}

mod packing {
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
}

mod timing {
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
}

mod waiting {
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
}

mod replies {
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
}
