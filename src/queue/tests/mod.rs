//! The queue, one file for each subject, and what their tests share.

mod at_the_end;
mod bounds;
mod counts;
mod lost_sender;
mod packing;
mod replies;
mod statistics;
mod timing;
mod waiting;

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
