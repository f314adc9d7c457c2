//! Sampling rates of the agent's latest answer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Sampling rates, 0 to 1, by `service:S,env:E`.
pub type RateByService = Vec<(String, f64)>;

/// The latest sampling rates. Parsed once a change, so that reading them costs next to nothing.
#[derive(Default)]
pub struct Rates {
    version: AtomicU64,
    latest: Mutex<Latest>,
}

#[derive(Default)]
struct Latest {
    body: String,
    rates: Arc<RateByService>,
}

impl Rates {
    /// Returns a number that changes when the rates do; 0 until there are any.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Returns the latest rates, empty until there are any.
    pub fn latest(&self) -> Arc<RateByService> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&latest.rates)
    }

    /// Takes the rates from the body of an answer, if it has any: an agent whose rates have not
    /// changed may leave them out. What is not a number from 0 to 1 is ignored.
    pub(crate) fn update(&self, body: &str) {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.body == body {
            return;
        }
        let answer = serde_json::from_str::<serde_json::Value>(body);
        let Some(rates) = answer
            .as_ref()
            .ok()
            .and_then(|answer| answer["rate_by_service"].as_object())
        else {
            return;
        };
        let rate = |(key, rate): (&String, &serde_json::Value)| {
            let rate = rate.as_f64()?;
            (0.0..=1.0).contains(&rate).then(|| (key.clone(), rate))
        };
        // Never reused by a child for other rates than its parent's, whose version a reader that
        // survived the fork may remember.
        static VERSIONS: AtomicU64 = AtomicU64::new(0);
        let version = 1 + VERSIONS.fetch_add(1, Ordering::Relaxed);
        latest.rates = Arc::new(rates.iter().filter_map(rate).collect());
        latest.body = body.to_owned();
        self.version.store(version, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_rates_are_kept_when_an_answer_has_none() {
        let rates = Rates::default();
        assert_eq!((rates.version(), rates.latest().len()), (0, 0));
        rates.update(r#"{"rate_by_service":{"service:,env:":0.5}}"#);
        rates.update("{}");
        rates.update("not JSON");
        rates.update(r#"{"rate_by_service":{"service:,env:":0.5}}"#);
        let version = rates.version();
        rates.update(r#"{"rate_by_service":{"service:,env:":0.5}}"#);
        assert_eq!(rates.version(), version);
        assert_eq!(*rates.latest(), [("service:,env:".to_owned(), 0.5)]);
        rates.update(r#"{"rate_by_service":{}}"#);
        assert!(rates.version() > version && rates.latest().is_empty());
    }

    #[test]
    fn only_numbers_from_0_to_1_are_rates() {
        let rates = Rates::default();
        rates.update(r#"{"rate_by_service":{"a":0,"b":1,"c":-0.1,"d":1.1,"f":"0.5","g":null}}"#);
        assert_eq!(
            *rates.latest(),
            [("a".to_owned(), 0.0), ("b".to_owned(), 1.0)]
        );
    }
}
