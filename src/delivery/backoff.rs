//! Pauses between attempts: exponential, with jitter.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(1);

/// The pauses after failures that follow each other.
pub struct Backoff {
    /// Upper bound of the next pause.
    bound: Duration,
}

impl Backoff {
    pub fn new() -> Self {
        Self { bound: FIRST }
    }

    /// Returns the next pause: between half of a bound, which doubles each time up to [`LONGEST`],
    /// and all of it. Processes that failed at the same moment thus don't come back in step.
    pub fn next_pause(&mut self) -> Duration {
        let bound = self.bound;
        self.bound = (bound * 2).min(LONGEST);
        let random = RandomState::new().hash_one(0) as f64 / u64::MAX as f64;
        bound.mul_f64(0.5 + random / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_vary_within_its_upper_half() {
        let mut seen = Vec::new();
        for _ in 0..50 {
            let mut backoff = Backoff::new();
            for bound in [100, 200, 400, 800, 1_000, 1_000].map(Duration::from_millis) {
                let pause = backoff.next_pause();
                assert!(
                    bound / 2 <= pause && pause <= bound,
                    "{pause:?} of {bound:?}"
                );
                seen.push(pause.as_nanos() / u128::from(bound.as_millis() as u64));
            }
        }
        seen.dedup();
        assert!(seen.len() > 250, "only {} of 300 pauses differ", seen.len());
    }
}
