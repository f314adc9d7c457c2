//! The handle through which a process exports, across forks.

use crate::chunks::TraceChunks;
use crate::config::Config;
use crate::diagnostics;
use crate::process_local::ProcessLocal;
use crate::queue::{Goal, Pending, Queue, ReplySlot, ReplyTo};
use crate::rates::Rates;
use crate::runtime::{self, Runtime};
use crate::sender;
use crate::stats::Stats;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Takes chunks and sees to their delivery in the background.
///
/// All that an exporter does goes through state made in this process: what a parent had queued is
/// the parent's to send.
pub struct Exporter {
    config: Arc<Config>,
    closed: AtomicBool,
    local: ProcessLocal<Local>,
}

/// What belongs to one process.
struct Local {
    queue: Arc<Queue>,
    sending: AtomicBool,
}

impl Exporter {
    /// Starts nothing: threads and connections come with the first export. What takes long and can
    /// be done before is done here, where no request waits for it.
    pub fn new(config: Config) -> Self {
        runtime::make_statics();
        Self {
            config: Arc::new(config),
            closed: AtomicBool::new(false),
            local: ProcessLocal::new(),
        }
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Queues chunks. Whether all were taken; the rest is counted. Never waits.
    pub fn export(&self, chunks: TraceChunks) -> bool {
        let local = self.local();
        let taken = local.queue.push(chunks, None);
        self.sends(local);
        taken
    }

    /// Queues chunks to be sent at once. The returned wait ends with the answer.
    pub fn send(&self, chunks: TraceChunks) -> Pending {
        let slot = ReplySlot::default();
        let reply = ReplyTo::new(Arc::clone(&slot));
        let local = self.local();
        match self.start(local) {
            Ok(()) => drop(local.queue.push(chunks, Some(reply))),
            Err(error) => local.queue.refuse(chunks, reply, &error),
        }
        Pending::new(Arc::clone(&local.queue), Goal::Reply(slot))
    }

    /// Has everything queued so far sent at once. The returned wait ends when it is answered for.
    pub fn flush(&self) -> Pending {
        let local = self.local();
        self.sends(local);
        flush(Arc::clone(&local.queue))
    }

    /// Takes nothing from now on, and sends what is queued. The returned wait ends when that is
    /// answered for.
    pub fn shutdown(&self) -> Pending {
        self.closed.store(true, Ordering::Relaxed);
        let local = self.local();
        local.queue.close();
        if !self.sends(local) {
            local.queue.end();
        }
        Pending::new(Arc::clone(&local.queue), Goal::Ended)
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    pub fn stats(&self) -> Stats {
        self.local().queue.stats()
    }

    /// The sampling rates that the agent sent last, in this process.
    pub fn rates(&self) -> Option<&Rates> {
        self.local.get().map(|local| local.queue.rates())
    }

    /// Whether [`Exporter::take_lines`] has something to tell. Costs next to nothing.
    pub fn has_lines(&self) -> bool {
        diagnostics::has_lines()
            || self
                .local
                .get()
                .is_some_and(|local| local.queue.has_lines())
    }

    /// Lines for the log that have not been fetched yet.
    pub fn take_lines(&self) -> VecDeque<String> {
        let mut lines = self.local().queue.take_lines();
        lines.extend(diagnostics::take_lines());
        lines
    }

    /// Starts the sender if there is something to send. Whether it was started, now or before.
    /// When no thread can be had the queue keeps what it can, and the next call tries again.
    fn sends(&self, local: &Local) -> bool {
        if local.sending.load(Ordering::Relaxed) {
            return true;
        }
        if local.queue.is_empty() {
            return false;
        }
        let started = self.start(local);
        if let Err(error) = &started {
            local.queue.cannot_send(error);
        }
        started.is_ok()
    }

    fn start(&self, local: &Local) -> io::Result<()> {
        if local.sending.load(Ordering::Relaxed) {
            return Ok(());
        }
        let runtime = Runtime::get()?;
        if !local.sending.swap(true, Ordering::Relaxed) {
            runtime.register(&local.queue);
            sender::start(runtime, Arc::clone(&self.config), Arc::clone(&local.queue));
        }
        Ok(())
    }

    fn local(&self) -> &Local {
        let made = self.local.get_or_try_init(|| {
            let queue = Arc::new(Queue::new(&self.config));
            if self.is_closed() {
                queue.close();
                queue.end();
            }
            Ok::<_, Infallible>(Local {
                queue,
                sending: AtomicBool::new(false),
            })
        });
        match made {
            Ok(local) => local,
        }
    }
}

impl Drop for Exporter {
    /// Posts a message and returns; what is queued is still sent.
    fn drop(&mut self) {
        if let Some(local) = self.local.get() {
            local.queue.close();
        }
    }
}

/// Has everything sent that is in `queue`.
pub fn flush(queue: Arc<Queue>) -> Pending {
    let number = queue.hurry();
    Pending::new(queue, Goal::Answered(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::Numbers;
    use crate::config::AgentUrl;
    use crate::size::Size;
    use crate::span::SpanDraft;
    use crate::stats::Loss;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::time::Duration;

    /// Answers every request with 200 and `{}`.
    fn agent() -> AgentUrl {
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
        AgentUrl::parse(&format!("http://{address}")).unwrap()
    }

    fn exporter() -> Exporter {
        Exporter::new(Config::for_tests(agent()))
    }

    fn chunks(name: &str) -> TraceChunks {
        let numbers = Numbers {
            span_id: 1,
            ..Numbers::default()
        };
        let mut span = SpanDraft::new(1, numbers);
        let name = span.texts().push(name);
        span.set_name(name);
        let mut chunks = TraceChunks::default();
        chunks.push(span);
        chunks
    }

    #[test]
    fn a_panic_while_sending_costs_one_payload_and_is_counted() {
        let exporter = exporter();
        for _ in 0..3 {
            // What makes the sender panic, in tests only.
            assert!(!exporter.send(chunks("panic")).wait(Duration::ZERO));
            let next = exporter.send(chunks("next"));
            assert!(next.wait(Duration::from_secs(10)));
        }
        assert!(exporter.flush().wait(Duration::from_secs(10)));
        let stats = exporter.stats();
        assert_eq!(stats.spans_exported, 6);
        assert_eq!(stats.spans_sent, 3);
        assert_eq!(stats.dropped[Loss::Internal as usize], 3);
        assert_eq!(stats.queued, Size::default());
    }
}
