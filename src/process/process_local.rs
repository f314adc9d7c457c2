//! Values that belong to one process and that its children leave alone.

use super::fork::{forks, generation};
use std::convert::Infallible;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A value that each process makes for itself on first use.
///
/// A child inherits its parent's value, but not the threads that served it, and its locks may be
/// held for ever. The child therefore neither uses nor frees it.
pub struct ProcessLocal<T> {
    made: AtomicPtr<Made<T>>,
}

struct Made<T> {
    generation: u64,
    forks: u64,
    value: T,
}

impl<T: Send + Sync> Default for ProcessLocal<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Send + Sync> ProcessLocal<T> {
    /// Creates an empty slot, which may be a `static`.
    pub const fn new() -> Self {
        Self {
            made: AtomicPtr::new(null_mut()),
        }
    }

    /// Returns the value if this process has made it.
    pub fn get(&self) -> Option<&T> {
        Self::own(self.made.load(Ordering::Acquire))
    }

    /// Returns the value that this process made before it started anew, if it has not made another
    /// one since. Its threads may still be alive.
    pub(crate) fn abandoned(&self) -> Option<&T> {
        let made = self.made.load(Ordering::Acquire);
        // SAFETY: as in `own`; of a parent's value only the numbers are read.
        unsafe { made.as_ref() }
            .filter(|made| made.generation != generation() && made.forks == forks())
            .map(|made| &made.value)
    }

    /// Returns the value, made now if this process has not made it yet. When two threads make one at
    /// the same time, one of the two is dropped at once.
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        let Ok(value) = self.get_or_try_init(|| Ok::<_, Infallible>(make()));
        value
    }

    /// Does the same as [`ProcessLocal::get_or_init`] with what may fail to be made.
    ///
    /// # Errors
    /// Returns the error of `make`; the next call tries again.
    pub fn get_or_try_init<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        let found = self.made.load(Ordering::Acquire);
        if let Some(value) = Self::own(found) {
            return Ok(value);
        }
        let made = Box::into_raw(Box::new(Made {
            generation: generation(),
            forks: forks(),
            value: make()?,
        }));
        match self
            .made
            .compare_exchange(found, made, Ordering::AcqRel, Ordering::Acquire)
        {
            // SAFETY: a published value is freed by `drop` alone, which needs exclusive access.
            Ok(_) => Ok(unsafe { &(*made).value }),
            Err(other) => {
                // SAFETY: made above and never published.
                drop(unsafe { Box::from_raw(made) });
                // SAFETY: as in the first arm; another thread of this process published it.
                Ok(unsafe { &(*other).value })
            }
        }
    }

    fn own<'a>(made: *mut Made<T>) -> Option<&'a T> {
        // SAFETY: null, or published, and then freed by `drop` alone: callers bound `'a` by a
        // borrow of `self`. Only the generation of a parent's value is read.
        unsafe { made.as_ref() }
            .filter(|made| made.generation == generation())
            .map(|made| &made.value)
    }
}

impl<T> Drop for ProcessLocal<T> {
    fn drop(&mut self) {
        let made = *self.made.get_mut();
        // SAFETY: null, or a box of `get_or_try_init` that has not been freed.
        if unsafe { made.as_ref() }.is_some_and(|made| made.generation == generation()) {
            // SAFETY: as above, and no borrow of `self` is left.
            drop(unsafe { Box::from_raw(made) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn threads_that_race_see_one_value() {
        let local = ProcessLocal::<usize>::new();
        let seen: Vec<usize> = std::thread::scope(|scope| {
            let race = |i| {
                let local = &local;
                scope.spawn(move || *local.get_or_init(|| i))
            };
            let threads: Vec<_> = (0..8).map(race).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert!(
            seen.iter().all(|value| Some(value) == local.get()),
            "{seen:?}"
        );
    }

    #[test]
    fn the_value_is_freed_by_the_process_that_made_it() {
        let value = Arc::new(());
        let local = ProcessLocal::new();
        let made = local.get_or_init(|| Arc::clone(&value));
        assert!(Arc::ptr_eq(made, &value));
        drop(local);
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn a_failure_leaves_it_to_be_tried_again() {
        let local = ProcessLocal::new();
        assert_eq!(local.get_or_try_init(|| Err("no")), Err("no"));
        assert_eq!(local.get_or_init(|| 1), &1);
    }
}
