//! The one tokio runtime of a process, started on first use and never stopped.
//!
//! It is never dropped: that would wait for what its threads are doing, a name look-up for
//! instance, at a moment that a garbage collector or the end of the process chooses.

use crate::process::{ProcessLocal, signals};
use crate::queue::Queue;
use libdd_common::connector::Connector;
use libdd_common::entity_id;
use libdd_data_pipeline::agent_info;
use libdd_shared_runtime::BasicRuntime;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Nothing but name look-ups blocks.
const MAX_BLOCKING_THREADS: usize = 2;

static CURRENT: ProcessLocal<Runtime> = ProcessLocal::new();

pub struct Runtime {
    tokio: Arc<tokio::runtime::Runtime>,
    queues: Mutex<Vec<Weak<Queue>>>,
}

impl Runtime {
    /// Returns the runtime of this process, started if need be.
    ///
    /// # Errors
    /// When the system has no room for another thread or descriptor.
    pub fn get() -> io::Result<&'static Self> {
        CURRENT.get_or_try_init(Self::start)
    }

    /// Returns the runtime of this process if it was started.
    pub fn started() -> Option<&'static Self> {
        CURRENT.get()
    }

    /// Returns the queues that something may still be sent from.
    pub fn queues(&self) -> Vec<Arc<Queue>> {
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.iter().filter_map(Weak::upgrade).collect()
    }

    pub fn register(&self, queue: &Arc<Queue>) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.retain(|queue| queue.strong_count() > 0);
        queues.push(Arc::downgrade(queue));
    }

    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tokio.spawn(task);
    }

    /// Returns a view of this runtime for the workers of one trace exporter.
    pub fn for_workers(&self) -> Arc<BasicRuntime> {
        Arc::new(BasicRuntime::from_handle(Arc::clone(&self.tokio)))
    }

    fn start() -> io::Result<Self> {
        let tokio = signals::blocked(|| {
            // Building the runtime panics where no thread can be had. The thread that finds out is not
            // joined: it may have got the stack of a parent's thread that was looking up a name at the
            // fork, and then locks glibc's resolver when it ends, which may be locked for ever.
            drop(std::thread::Builder::new().spawn(|| ())?);
            let build = || {
                tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(1)
                    .max_blocking_threads(MAX_BLOCKING_THREADS)
                    .thread_name("dd-native-export")
                    .enable_all()
                    .build()
            };
            catch_unwind(AssertUnwindSafe(build))
                .unwrap_or_else(|_| Err(io::Error::other("no thread can be had")))
        })?;
        Ok(Self {
            tokio: Arc::new(tokio),
            queues: Mutex::default(),
        })
    }
}

/// Initialises the libraries' lazy statics that a sender would initialise, on the thread that may
/// fork: in a child forked while a sender initialises one, whoever needs it waits for ever.
pub fn initialise_statics() {
    let _ = entity_id::get_entity_headers().count();
    let _ = agent_info::get_agent_info();
    let _ = Connector::default();
}
