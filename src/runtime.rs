//! The one tokio runtime of a process, started on first use and never stopped.
//!
//! It is never dropped: that would wait for what its threads are doing, a name look-up for
//! instance, at a moment that a garbage collector or the end of the process chooses.

use crate::config::AgentUrl;
use crate::process::{ProcessLocal, environment, names, panics, signals};
use crate::queue::Queue;
use crate::report::library_log;
use libdd_common::connector::Connector;
use libdd_data_pipeline::agent_info;
use libdd_shared_runtime::BasicRuntime;
use std::io;
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
                    .on_thread_start(panics::report_on_this_thread)
                    .enable_all()
                    .build()
            };
            panics::caught(build).unwrap_or_else(|panic| Err(io::Error::other(panic)))
        })?;
        Ok(Self {
            tokio: Arc::new(tokio),
            queues: Mutex::default(),
        })
    }
}

/// Initialises, on the thread that may fork, everything that a sender would initialise once per
/// process: in a child forked meanwhile, whoever needs it would wait for ever.
pub fn initialise_process(agent: &AgentUrl) {
    if let Some(complaint) = environment::read_entity_headers() {
        library_log::push(complaint);
    }
    let _ = agent_info::get_agent_info();
    let _ = Connector::default();
    if agent.has_host_name() {
        names::load_name_services();
    }
}
