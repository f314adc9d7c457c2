//! What reads Ruby's private layouts, for speed alone: where Hashes keep their entries, plain objects their instance
//! variables and Times their nanoseconds, and fetching them into the processor's cache ahead of time.
//!
//! The layouts are those of CRuby 3.1 to 3.4 on 64-bit platforms. Each is compared with what Ruby's own calls say,
//! when the extension is loaded (Hashes, Times) or when a class is first met (instance variables), and isn't used if
//! they differ. Everywhere else, and with [`SWITCH`] set to 0, Ruby's API is used instead.

mod hash_entries;
mod ivar_layout;
mod prefetch;
mod time_layout;

pub use hash_entries::Entries;
pub use ivar_layout::IvarLayout;
pub use prefetch::{
    CAN_PREFETCH, prefetch, prefetch_address, prefetch_data, prefetch_range, prefetch_text,
};
pub use time_layout::plain_nanoseconds;

use magnus::{Error, Ruby};
use std::sync::atomic::{AtomicBool, Ordering};

/// The environment variable that switches all of this off when it is `0`, read when the extension is loaded.
const SWITCH: &str = "DD_NATIVE_EXPORT_PRIVATE_LAYOUTS";

static ENABLED: AtomicBool = AtomicBool::new(false);

/// Reads the switch and checks the layouts of Hashes and Times.
///
/// # Errors
/// When there is no memory for some of them.
pub fn init(ruby: &Ruby) -> Result<(), Error> {
    if std::env::var_os(SWITCH).is_some_and(|value| value == "0") {
        return Ok(());
    }
    ENABLED.store(true, Ordering::Relaxed);
    hash_entries::check(ruby)?;
    time_layout::check(ruby)
}

/// Returns whether private layouts may be used at all.
#[inline]
fn enabled() -> bool {
    ENABLED.load(Ordering::Relaxed)
}

/// Returns whether the layouts of Hashes and Times were found to be what is expected, and are used.
pub fn in_use() -> bool {
    hash_entries::are_found() && time_layout::are_found()
}
