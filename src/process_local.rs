//! Values that belong to one process and are left alone by its children.

use crate::fork::generation;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A value that each process makes for itself on first use.
///
/// A child finds what its parent made, but the threads that served it are missing and its locks
/// may be held for ever: it is neither used nor freed there.
pub struct ProcessLocal<T> {
    made: AtomicPtr<Made<T>>,
}

struct Made<T> {
    generation: u64,
    value: T,
}

impl<T: Send + Sync> ProcessLocal<T> {
    pub const fn new() -> Self {
        Self {
            made: AtomicPtr::new(null_mut()),
        }
    }

    /// The value if this process has made it.
    pub fn get(&self) -> Option<&T> {
        Self::own(self.made.load(Ordering::Acquire))
    }

    /// The value, made now if this process has not made it. When two threads make one at the same
    /// time one of both is dropped at once.
    pub fn get_or_try_init<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        let found = self.made.load(Ordering::Acquire);
        if let Some(value) = Self::own(found) {
            return Ok(value);
        }
        let made = Box::into_raw(Box::new(Made {
            generation: generation(),
            value: make()?,
        }));
        match self
            .made
            .compare_exchange(found, made, Ordering::AcqRel, Ordering::Acquire)
        {
            // SAFETY: what is in `made` is freed by `drop` alone, which needs `self` whole.
            Ok(_) => Ok(unsafe { &(*made).value }),
            Err(other) => {
                // SAFETY: made above, and nobody else has seen it.
                drop(unsafe { Box::from_raw(made) });
                // SAFETY: as in the first arm; another thread of this process has put it there.
                Ok(unsafe { &(*other).value })
            }
        }
    }

    fn own<'a>(made: *mut Made<T>) -> Option<&'a T> {
        // SAFETY: null, or in `made`, where it is freed by `drop` alone: callers bound `'a` by a
        // borrow of `self`. Of a parent's value nothing but the generation is read.
        unsafe { made.as_ref() }
            .filter(|made| made.generation == generation())
            .map(|made| &made.value)
    }
}

impl<T> Drop for ProcessLocal<T> {
    fn drop(&mut self) {
        let made = *self.made.get_mut();
        // SAFETY: null, or made from a box in `get_or_try_init` and not freed before.
        if unsafe { made.as_ref() }.is_some_and(|made| made.generation == generation()) {
            // SAFETY: as above, and nothing borrows from `self` any more.
            drop(unsafe { Box::from_raw(made) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::sync::Arc;

    #[test]
    fn threads_that_race_see_one_value() {
        let local = ProcessLocal::<usize>::new();
        let seen: Vec<usize> = std::thread::scope(|scope| {
            let race = |i| {
                let local = &local;
                scope.spawn(move || *local.get_or_try_init(|| Ok::<_, Infallible>(i)).unwrap())
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
        let made = local.get_or_try_init(|| Ok::<_, Infallible>(Arc::clone(&value)));
        assert!(Arc::ptr_eq(made.unwrap(), &value));
        drop(local);
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn a_failure_leaves_it_to_be_tried_again() {
        let local = ProcessLocal::new();
        assert_eq!(local.get_or_try_init(|| Err("no")), Err("no"));
        assert_eq!(local.get_or_try_init(|| Ok::<_, Infallible>(1)), Ok(&1));
    }
}
