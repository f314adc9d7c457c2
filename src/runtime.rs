//! The one tokio runtime of a process, started on first use and never stopped.
//!
//! It is never dropped: that would wait for what its threads are doing, a name look-up for
//! instance, at a moment that a garbage collector or the end of the process chooses.
//!
//! All tasks run on one thread of ours. If the application closes the descriptors that it polls, it
//! stops for good: tokio would panic, or poll another file that has got the same number, and
//! unwinding would close such files.

use crate::config::AgentUrl;
use crate::process::descriptors::Descriptors;
use crate::process::{ProcessLocal, environment, names, panics, signals};
use crate::queue::Queue;
use crate::report::library_log;
use libdd_common::connector::Connector;
use libdd_data_pipeline::agent_info;
use libdd_shared_runtime::BasicRuntime;
use std::future::pending;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread;

const THREAD_NAME: &str = "dd-native-export";
/// Nothing but name look-ups blocks.
const MAX_BLOCKING_THREADS: usize = 2;

static CURRENT: ProcessLocal<Runtime> = ProcessLocal::new();

pub struct Runtime {
    tokio: Arc<tokio::runtime::Runtime>,
    shared: Arc<Shared>,
}

/// What the thread of a runtime needs to know.
#[derive(Default)]
struct Shared {
    descriptors: OnceLock<Arc<Descriptors>>,
    /// The queues that something may still be sent from.
    queues: Mutex<Vec<Weak<Queue>>>,
}

impl Shared {
    fn queues(&self) -> MutexGuard<'_, Vec<Weak<Queue>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_intact(&self) -> bool {
        let descriptors = self.descriptors.get();
        descriptors.is_none_or(|descriptors| descriptors.are_open())
    }

    /// Notes that nothing is sent from the queues any more.
    fn lose_queues(&self) {
        let queues: Vec<_> = self.queues().iter().filter_map(Weak::upgrade).collect();
        queues.iter().for_each(|queue| queue.lose_sender());
    }

    /// Stops the calling thread, which polls the descriptors, for good. It may hold the panic hook's
    /// lock, for which only those wait who would change the hook.
    fn stop(&self) {
        self.lose_queues();
        loop {
            thread::park();
        }
    }

    fn before_polling(&self) {
        if !self.is_intact() {
            self.stop();
        }
    }

    fn before_unwinding(&self) {
        let descriptors = self.descriptors.get();
        if descriptors.is_some_and(|descriptors| !descriptors.are_all_open()) {
            self.stop();
        }
    }
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

    /// Returns whether the application has left it its descriptors. Costs a system call.
    pub fn is_intact(&self) -> bool {
        self.shared.is_intact()
    }

    /// Returns the queues that something may still be sent from.
    pub fn queues(&self) -> Vec<Arc<Queue>> {
        let queues = self.shared.queues();
        queues.iter().filter_map(Weak::upgrade).collect()
    }

    /// Notes that `queue` is sent from by a task of this runtime.
    pub fn register(&self, queue: &Arc<Queue>) {
        if let Some(descriptors) = self.shared.descriptors.get() {
            queue.set_descriptors(Arc::clone(descriptors));
        }
        let mut queues = self.shared.queues();
        queues.retain(|queue| queue.strong_count() > 0);
        queues.push(Arc::downgrade(queue));
    }

    /// Closes all that it polls, as an application does that closes whatever it did not open.
    #[cfg(test)]
    pub fn close_descriptors(&self) {
        self.shared.descriptors.get().unwrap().close();
    }

    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tokio.spawn(task);
    }

    /// Returns a view of this runtime for the workers of one trace exporter.
    pub fn for_workers(&self) -> Arc<BasicRuntime> {
        Arc::new(BasicRuntime::from_handle(Arc::clone(&self.tokio)))
    }

    fn start() -> io::Result<Self> {
        panics::install_hook();
        if let Some(lost) = CURRENT.abandoned()
            && let Some(descriptors) = lost.shared.descriptors.get()
        {
            descriptors.retire();
        }
        let shared = Arc::<Shared>::default();
        let checked = Arc::clone(&shared);
        let (tokio, descriptors) = Descriptors::opened_by(|| {
            tokio::runtime::Builder::new_current_thread()
                .max_blocking_threads(MAX_BLOCKING_THREADS)
                .thread_name(THREAD_NAME)
                .on_thread_start(panics::report_on_this_thread)
                .on_thread_park(move || checked.before_polling())
                .enable_all()
                .build()
        })?;
        let _ = shared.descriptors.set(Arc::new(descriptors));
        let runtime = Self {
            tokio: Arc::new(tokio),
            shared,
        };
        let (tokio, shared) = (Arc::clone(&runtime.tokio), Arc::clone(&runtime.shared));
        // The thread also inherits from this one that signals are blocked.
        signals::blocked(|| {
            let thread = thread::Builder::new().name(THREAD_NAME.into());
            thread.spawn(move || run(&tokio, &shared)).map(drop)
        })?;
        Ok(runtime)
    }
}

/// Runs all tasks. Ends only by a panic of the runtime itself.
fn run(tokio: &tokio::runtime::Runtime, shared: &Arc<Shared>) {
    panics::report_on_this_thread();
    let checked = Arc::clone(shared);
    panics::before_unwinding(move || checked.before_unwinding());
    let run = || tokio.block_on(pending::<()>());
    let _ = catch_unwind(AssertUnwindSafe(run));
    shared.lose_queues();
}

/// Initialises, on the thread that may fork, everything that a sender would initialise once per
/// process: in a child forked meanwhile, whoever needs it would wait for ever.
pub fn initialise_process(receiver: &AgentUrl) {
    if let Some(complaint) = environment::read_entity_headers() {
        library_log::push(complaint);
    }
    let _ = agent_info::get_agent_info();
    let _ = Connector::default();
    if receiver.has_host_name() {
        names::load_name_services();
    }
}
