//! Waiting for what becomes of queued chunks.

use super::{Interrupt, Queue, ReplySlot, SendOutcome, State};
use crate::process::fork::generation;
use std::sync::Arc;
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// What a thread waits for.
pub(crate) enum WaitFor {
    /// All chunks below a number are accounted for, and a flush of statistics is over.
    Settled {
        chunks: u64,
        statistics: u64,
    },
    Reply(ReplySlot),
    /// The queue was closed and has run empty.
    Finished,
}

/// A wait for the sender. Giving it up changes nothing about what is sent.
///
/// In a child that a signal handler forks during the wait, the wait fails and takes no lock of the
/// queue, which is the parent's. It also fails when the application has closed the descriptors of
/// the sender.
pub struct Waiter {
    queue: Arc<Queue>,
    process: u64,
    goal: WaitFor,
}

impl Waiter {
    pub(crate) fn new(queue: Arc<Queue>, goal: WaitFor) -> Self {
        Self {
            queue,
            process: generation(),
            goal,
        }
    }

    /// Returns whether this process is a child of the one that the wait was begun in, or has started
    /// anew since.
    pub fn is_inherited(&self) -> bool {
        self.process != generation()
    }

    /// Blocks until the wait is over or `limit` has passed. Returns whether it is over.
    pub fn wait(&self, limit: Duration) -> bool {
        self.wait_unless(&Interrupt::of_this_thread(), limit)
    }

    /// Does the same as [`Waiter::wait`], and also returns when `interrupt`, which must be the calling
    /// thread's, is requested.
    pub fn wait_unless(&self, interrupt: &Interrupt, limit: Duration) -> bool {
        if self.is_inherited() || self.queue.has_lost_sender() {
            return false;
        }
        let deadline = Instant::now().checked_add(limit);
        let mut state = self.queue.lock();
        while !self.is_over(&state) {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) || interrupt.take() {
                return false;
            }
            state.waiters.push(interrupt.thread().clone());
            drop(state);
            // Returns at once if the thread was woken since it looked at the state.
            match left {
                Some(left) => thread::park_timeout(left),
                None => thread::park(),
            }
            if self.is_inherited() || self.queue.has_lost_sender() {
                return false;
            }
            state = self.queue.lock();
            let is_other = |waiter: &Thread| waiter.id() != interrupt.thread().id();
            state.waiters.retain(is_other);
        }
        true
    }

    /// Returns the result of a synchronous send once there is one.
    pub fn reply(&self) -> Option<&SendOutcome> {
        match &self.goal {
            WaitFor::Reply(slot) => slot.get(),
            _ => None,
        }
    }

    fn is_over(&self, state: &State) -> bool {
        match &self.goal {
            WaitFor::Settled { chunks, statistics } => {
                let mut in_flight = state.in_flight.iter();
                state.first_number() >= *chunks
                    && in_flight.all(|payload| payload.first >= *chunks)
                    && (state.flushes.is_done(*statistics) || state.finished.is_some())
            }
            WaitFor::Reply(slot) => slot.get().is_some(),
            WaitFor::Finished => state.finished.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::config;

    #[test]
    #[allow(unsafe_code)]
    fn a_child_takes_no_lock_of_the_queue_that_its_parent_waits_for() {
        crate::process::fork::watch();
        let queue = Arc::new(Queue::new(&config()));
        let waiter = Waiter::new(Arc::clone(&queue), WaitFor::Finished);
        let locked = queue.lock();
        // SAFETY: the child calls nothing that takes a lock and exits without running anything else;
        // if it hangs, the alarm ends it.
        let status = unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::alarm(10);
                let untouched = !waiter.wait(Duration::MAX);
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
