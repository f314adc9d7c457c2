//! The handle through which a process exports, across forks.

use crate::config::Config;
use crate::delivery;
use crate::process::{ProcessLocal, fork, panics};
use crate::queue::{Queue, ReplySlot, Responder, WaitFor, Waiter};
use crate::report::library_log;
use crate::report::rates::Rates;
use crate::report::stats::{RequestOutcome, Stats};
use crate::runtime::{self, Runtime};
use crate::span::TraceChunks;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Takes chunks and delivers them in the background.
///
/// Its state belongs to one process. A child starts with an empty queue and counters at zero: what
/// its parent had queued is the parent's to send.
pub struct Exporter {
    config: Arc<Config>,
    closed: AtomicBool,
    local: ProcessLocal<Local>,
}

/// State of one process.
struct Local {
    generation: u64,
    queue: Arc<Queue>,
    /// Whether the sender was started.
    sending: AtomicBool,
}

impl Exporter {
    /// Creates an exporter. Threads and connections are made with the first export; what takes long
    /// and can be done before is done here, where no request waits for it.
    pub fn new(config: Config) -> Self {
        runtime::initialise_process(config.url());
        Self {
            config: Arc::new(config),
            closed: AtomicBool::new(false),
            local: ProcessLocal::new(),
        }
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Queues chunks. Returns whether all were queued; the rest is counted as lost. Never waits.
    pub fn export(&self, chunks: TraceChunks) -> bool {
        let export = || {
            let local = self.local();
            let taken = local.queue.push(chunks, None);
            self.ensure_sending(local);
            taken
        };
        self.guarded(export, || false)
    }

    /// Queues chunks to be sent at once. The returned wait is over when the agent has answered or the
    /// chunks are lost; its [`Waiter::reply`] tells which.
    pub fn send(&self, chunks: TraceChunks) -> Waiter {
        let slot = ReplySlot::default();
        let responder = Responder::new(Arc::clone(&slot));
        let send = || {
            let local = self.unless_lost(self.local());
            match self.start(local) {
                Ok(()) => drop(local.queue.push(chunks, Some(responder))),
                Err(error) => local.queue.refuse(&chunks, &responder, &error),
            }
            self.ensure_sending(local)
        };
        let local = self.guarded(send, || self.local());
        Waiter::new(Arc::clone(&local.queue), WaitFor::Reply(slot))
    }

    /// Has everything queued so far sent at once. The returned wait is over when all of it is sent or
    /// lost.
    pub fn flush(&self) -> Waiter {
        let flush = || {
            let local = self.ensure_sending(self.local());
            let flush = local.queue.flush();
            match local.queue.has_lost_sender() {
                true => self.ensure_sending(local).queue.flush(),
                false => flush,
            }
        };
        self.guarded(flush, || self.local().queue.flush())
    }

    /// Takes nothing from now on, and has everything queued sent at once. The returned wait is over
    /// when all of it is sent or lost.
    pub fn shutdown(&self) -> Waiter {
        self.closed.store(true, Ordering::Relaxed);
        let shutdown = || {
            let mut local = self.local();
            local.queue.close();
            local = self.ensure_sending(local);
            if !local.sending.load(Ordering::Relaxed) {
                local.queue.finish("the sender could not be started");
            }
            local
        };
        let local = self.guarded(shutdown, || self.local());
        Waiter::new(Arc::clone(&local.queue), WaitFor::Finished)
    }

    /// Returns whether the exporter was shut down, in this process or before it was forked.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Returns the counters of this process.
    pub fn stats(&self) -> Stats {
        self.local().queue.stats()
    }

    /// Returns the sampling rates that the agent sent last, if this process has exported anything.
    pub fn rates(&self) -> Option<&Rates> {
        self.local.get().map(|local| local.queue.rates())
    }

    /// Returns whether [`Exporter::take_lines`] has something to return. Costs two loads.
    pub fn has_lines(&self) -> bool {
        let local = self.local.get();
        library_log::has_lines() || local.is_some_and(|local| local.queue.has_lines())
    }

    /// Returns lines for the log that have not been fetched yet, warnings of the libraries included.
    pub fn take_lines(&self) -> VecDeque<String> {
        let mut lines = self.local().queue.take_lines();
        lines.extend(library_log::take_lines());
        lines
    }

    /// Returns the outcomes of requests that have not been fetched yet; the latest 256 if there are
    /// more.
    pub fn take_requests(&self) -> VecDeque<RequestOutcome> {
        self.local().queue.take_requests()
    }

    /// Describes the spans that are lost if the process ends now: how many, where they were going and
    /// why they are not there. Returns `None` if there are none that were exported since the last call.
    pub fn take_unsent_line(&self) -> Option<String> {
        self.local.get()?.queue.take_unsent_line()
    }

    /// Runs a call of the application's. A panic in it, which would be a defect, doesn't reach the
    /// application: what it cost is counted, and the result is `otherwise`.
    fn guarded<T>(&self, call: impl FnOnce() -> T, otherwise: impl FnOnce() -> T) -> T {
        panics::caught(call).unwrap_or_else(|panic| {
            self.local().queue.note_panic(&panic);
            otherwise()
        })
    }

    /// Returns the state to go on with: another one if the application has closed the descriptors of
    /// the sender, or those that it would be started with.
    fn unless_lost<'a>(&'a self, local: &'a Local) -> &'a Local {
        let is_lost = match local.sending.load(Ordering::Relaxed) {
            true => local.queue.has_lost_sender(),
            false => Runtime::started().is_some_and(|runtime| !runtime.is_intact()),
        };
        if !is_lost {
            return local;
        }
        fork::start_anew(local.generation);
        self.local()
    }

    /// Starts the sender if there is something to send and it was not started, or is lost. Returns the
    /// state to go on with. When no thread can be had, the queue keeps what it can and the next call
    /// tries again.
    fn ensure_sending<'a>(&'a self, local: &'a Local) -> &'a Local {
        if local.sending.load(Ordering::Relaxed) && !local.queue.has_lost_sender() {
            return local;
        }
        let local = self.unless_lost(local);
        if !local.queue.is_empty()
            && let Err(error) = self.start(local)
        {
            local.queue.note_start_failure(&error);
        }
        local
    }

    fn start(&self, local: &Local) -> io::Result<()> {
        if local.sending.load(Ordering::Relaxed) {
            return Ok(());
        }
        let runtime = Runtime::get()?;
        if !local.sending.swap(true, Ordering::Relaxed) {
            runtime.register(&local.queue);
            delivery::start(runtime, Arc::clone(&self.config), Arc::clone(&local.queue));
        }
        Ok(())
    }

    fn local(&self) -> &Local {
        self.local.get_or_init(|| {
            let lost = self.local.abandoned();
            let queue = match lost {
                Some(lost) => Queue::in_place_of(&lost.queue, &self.config),
                None => Queue::new(&self.config),
            };
            if self.is_closed() {
                queue.close();
                if queue.is_empty() {
                    queue.finish("the exporter has been shut down");
                }
            }
            Local {
                generation: fork::generation(),
                queue: Arc::new(queue),
                sending: AtomicBool::new(false),
            }
        })
    }
}

impl Drop for Exporter {
    /// Closes the queue and returns; what is queued is still sent.
    fn drop(&mut self) {
        if let Some(local) = self.local.get() {
            local.queue.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::stats::Loss;
    use crate::span::Size;
    use crate::testing::{chunks, config_for, in_a_process_with, list, named};
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::time::Duration;

    const LONG: Duration = Duration::from_secs(10);

    /// Answers every request with 200 and `{}`.
    fn agent() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                std::thread::spawn(move || {
                    let mut buffer = [0; 65_536];
                    while stream.read(&mut buffer).is_ok_and(|read| read > 0) {
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
                    }
                });
            }
        });
        format!("http://{address}")
    }

    #[test]
    fn a_panic_while_sending_costs_one_payload_and_is_counted() {
        let exporter = Exporter::new(config_for(&agent()));
        for _ in 0..3 {
            // This name makes the sender panic, in tests only.
            assert!(exporter.send(list([named("panic", 1)])).wait(LONG));
            let next = exporter.send(list([named("next", 1)]));
            assert!(next.wait(LONG));
        }
        assert!(exporter.flush().wait(LONG));
        let stats = exporter.stats();
        assert_eq!(stats.spans_exported, 6);
        assert_eq!(stats.spans_sent, 3);
        assert_eq!(stats.dropped[Loss::Internal as usize], 3);
        assert_eq!(stats.queued, Size::default());
    }

    #[test]
    fn a_panic_in_a_call_does_not_reach_the_application_and_is_counted() {
        // With this agent the queue panics when it takes chunks, in tests only.
        let exporter = Exporter::new(config_for("http://panic"));
        assert!(!exporter.export(chunks(&[2])));
        let waiter = exporter.send(chunks(&[3]));
        assert!(waiter.wait(LONG));
        let stats = exporter.stats();
        assert_eq!(stats.dropped[Loss::Internal as usize], 5);
        assert_eq!(stats.unsettled(), 0);
        assert!(stats.last_error.unwrap().contains("internal error"));
    }

    fn close_descriptors() {
        Runtime::started().unwrap().close_descriptors();
    }

    /// Ends the process of a test whose sender may have stopped within the panic hook, which the test
    /// harness waits for at its end.
    fn exit_at_once() {
        std::process::exit(0);
    }

    #[test]
    fn an_exporter_starts_anew_when_the_application_has_closed_its_descriptors() {
        let test = "exporter::tests::an_exporter_starts_anew_when_the_application_has_closed_its_descriptors";
        let Some(agent) = in_a_process_with(test, "TEST_AGENT", &agent()) else {
            return;
        };
        let exporter = Exporter::new(config_for(&agent));
        let other = Exporter::new(config_for(&agent));
        assert!(exporter.export(chunks(&[1])));
        assert!(exporter.flush().wait(LONG));
        close_descriptors();
        // Numbers of the old descriptors are used by the application from now on.
        let files: Vec<_> = (0..4).map(|_| std::fs::File::open("/dev/null")).collect();
        assert!(exporter.export(chunks(&[2])));
        assert!(exporter.flush().wait(LONG));
        assert!(other.export(chunks(&[3])));
        assert!(other.send(chunks(&[4])).wait(LONG));
        assert!(other.flush().wait(LONG));
        let stats = exporter.stats();
        assert_eq!((stats.spans_exported, stats.spans_sent), (3, 3));
        assert_eq!(other.stats().spans_sent, 7);
        assert!(exporter.shutdown().wait(LONG));
        drop(files);
        exit_at_once();
    }

    #[test]
    fn what_is_in_flight_when_the_descriptors_are_closed_is_lost_and_counted() {
        let test = "exporter::tests::what_is_in_flight_when_the_descriptors_are_closed_is_lost_and_counted";
        // Takes connections and never answers.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let agent = format!("http://{}", listener.local_addr().unwrap());
        let Some(agent) = in_a_process_with(test, "TEST_AGENT", &agent) else {
            return;
        };
        let exporter = Exporter::new(config_for(&agent));
        let sent = exporter.send(chunks(&[2]));
        while exporter.stats().in_flight.spans == 0 {
            std::thread::yield_now();
        }
        close_descriptors();
        exporter.export(chunks(&[1]));
        let flush = exporter.flush();
        // Either it is never answered, or with the loss.
        sent.wait(LONG);
        let stats = exporter.stats();
        assert_eq!(stats.dropped[Loss::Internal as usize], 2);
        assert_eq!((stats.spans_exported, stats.unsettled()), (3, 1));
        drop(flush);
        exit_at_once();
    }
}
