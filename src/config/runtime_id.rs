//! Identifies a process to Datadog.

use crate::process::fork::generation;

/// An id of the process that it was made in, which a forked child must not go by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuntimeId {
    id: String,
    generation: u64,
}

impl RuntimeId {
    pub fn of_this_process(id: String) -> Self {
        let generation = generation();
        Self { id, generation }
    }

    /// Returns the id, or `None` if there is none for this process.
    pub fn get(&self) -> Option<&str> {
        let is_own = self.generation == generation() && !self.id.is_empty();
        is_own.then_some(self.id.as_str())
    }
}
