//! Waiting for the sender.

use super::{Answer, Queue, ReplySlot, State};
use crate::fork::generation;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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

/// A wait for the sender, which another thread can interrupt. Giving up changes nothing about
/// what is sent.
///
/// In a child that a signal handler has forked during the wait it never ends well, and takes no lock
/// of the queue, which is the parent's.
pub struct Pending {
    queue: Arc<Queue>,
    process: u64,
    goal: Goal,
    waiter: Thread,
    interrupted: AtomicBool,
}

impl Pending {
    /// For the calling thread to wait for.
    pub fn new(queue: Arc<Queue>, goal: Goal) -> Self {
        Self {
            queue,
            process: generation(),
            goal,
            waiter: thread::current(),
            interrupted: AtomicBool::new(false),
        }
    }

    /// Whether this process is a child of the one that waits.
    pub fn is_inherited(&self) -> bool {
        self.process != generation()
    }

    /// Blocks until the goal is reached, `limit` is over or [`Pending::interrupt`] is called.
    /// Whether the goal is reached.
    pub fn wait(&self, limit: Duration) -> bool {
        if self.is_inherited() {
            return false;
        }
        let deadline = Instant::now() + limit;
        let mut state = self.queue.lock();
        while !self.reached(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.interrupted.swap(false, Ordering::Relaxed) {
                return false;
            }
            state.waiters.push(self.waiter.clone());
            drop(state);
            // Returns at once when it was woken since the look at the state.
            thread::park_timeout(left);
            state = self.queue.lock();
            let is_other = |waiter: &Thread| waiter.id() != self.waiter.id();
            state.waiters.retain(is_other);
        }
        true
    }

    /// Makes the wait that goes on, or else the next one, return at once. A signal handler may call it: on Linux all
    /// that it does is to write to two atomics and to wake a futex.
    pub fn interrupt(&self) {
        if self.is_inherited() {
            return;
        }
        self.interrupted.store(true, Ordering::Relaxed);
        self.waiter.unpark();
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
                pending.interrupt();
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
