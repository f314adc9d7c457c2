//! Waiting for the sender.

use super::{Answer, Interrupt, Queue, ReplySlot, State};
use crate::fork::generation;
use std::sync::Arc;
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// What a thread waits for.
pub enum Goal {
    /// All entries below this number have been answered for.
    Answered(u64),
    Reply(ReplySlot),
    /// The queue was closed and has run empty.
    Ended,
}

/// A wait for the sender. Giving up changes nothing about what is sent.
///
/// In a child that a signal handler has forked during the wait it never ends well, and takes no lock
/// of the queue, which is the parent's.
pub struct Pending {
    queue: Arc<Queue>,
    process: u64,
    goal: Goal,
}

impl Pending {
    pub fn new(queue: Arc<Queue>, goal: Goal) -> Self {
        Self {
            queue,
            process: generation(),
            goal,
        }
    }

    /// Whether this process is a child of the one that waits.
    pub fn is_inherited(&self) -> bool {
        self.process != generation()
    }

    /// Blocks until the goal is reached or `limit` is over. Whether the goal is reached.
    pub fn wait(&self, limit: Duration) -> bool {
        self.wait_unless(&Interrupt::of_this_thread(), limit)
    }

    /// As [`Pending::wait`], or until `interrupt`, which is the calling thread's, is requested.
    pub fn wait_unless(&self, interrupt: &Interrupt, limit: Duration) -> bool {
        if self.is_inherited() {
            return false;
        }
        let deadline = Instant::now() + limit;
        let mut state = self.queue.lock();
        while !self.reached(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || interrupt.take() {
                return false;
            }
            state.waiters.push(interrupt.thread().clone());
            drop(state);
            // Returns at once when it was woken since the look at the state.
            thread::park_timeout(left);
            if self.is_inherited() {
                return false;
            }
            state = self.queue.lock();
            let is_other = |waiter: &Thread| waiter.id() != interrupt.thread().id();
            state.waiters.retain(is_other);
        }
        true
    }

    /// Spans of that queue that are neither sent nor lost yet.
    pub fn unsettled(&self) -> u64 {
        if self.is_inherited() {
            return 0;
        }
        self.queue.stats().unsettled()
    }

    pub fn reply(&self) -> Option<&Answer> {
        match &self.goal {
            Goal::Reply(slot) => slot.get(),
            _ => None,
        }
    }

    fn reached(&self, state: &State) -> bool {
        match &self.goal {
            Goal::Answered(number) => {
                state.next - state.entries.len() as u64 >= *number
                    && state.in_flight.iter().all(|first| first >= number)
            }
            Goal::Reply(slot) => slot.get().is_some(),
            Goal::Ended => state.ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AgentUrl, Config};

    #[test]
    fn a_child_takes_no_lock_of_the_queue_that_its_parent_waits_for() {
        crate::fork::watch();
        let agent = AgentUrl::parse("http://127.0.0.1:1").unwrap();
        let queue = Arc::new(Queue::new(&Config::for_tests(agent)));
        let pending = Pending::new(Arc::clone(&queue), Goal::Ended);
        let locked = queue.lock();
        // SAFETY: the child calls what takes no lock, and leaves without running anything else; should
        // it hang, the alarm ends it.
        let status = unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::alarm(10);
                let untouched = !pending.wait(Duration::MAX) && pending.unsettled() == 0;
                libc::_exit(if untouched { 0 } else { 1 });
            }
            let mut status = -1;
            libc::waitpid(child, &raw mut status, 0);
            status
        };
        drop(locked);
        assert_eq!(status, 0);
    }
}
