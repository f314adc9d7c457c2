//! Panics, which would be defects of this library, stay within it.

use crate::report::library_log;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::{self, AssertUnwindSafe, Location, PanicHookInfo, catch_unwind};
use std::pin::pin;
use std::sync::Once;
use std::task::Poll;

thread_local! {
    static REPORT: Cell<Report> = const { Cell::new(Report::AsEverywhere) };
    static BEFORE_UNWINDING: RefCell<Option<Box<dyn Fn()>>> = const { RefCell::new(None) };
}

/// What is done with the text of a panic on a thread.
#[derive(Clone, Copy)]
enum Report {
    /// The hook that was there before is called, which writes to standard error.
    AsEverywhere,
    /// It becomes a line for the log.
    AsLine,
    /// Whoever catches it tells of it.
    ByCatcher,
}

/// Has panics on threads of this library go to the log instead of standard error.
pub fn install_hook() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            match REPORT.get() {
                Report::AsEverywhere => previous(info),
                Report::AsLine => library_log::push(&describe(info)),
                Report::ByCatcher => {}
            }
            BEFORE_UNWINDING.with_borrow(|call| {
                if let Some(call) = call {
                    call();
                }
            });
        }));
    });
}

/// Has `call` run at each panic on the calling thread, before anything is unwound.
pub fn before_unwinding(call: impl Fn() + 'static) {
    BEFORE_UNWINDING.set(Some(Box::new(call)));
}

/// Marks the calling thread as one of this library.
pub fn report_on_this_thread() {
    REPORT.set(Report::AsLine);
}

/// Runs `call`.
///
/// # Errors
/// The message of a panic in it.
pub fn caught<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    let before = REPORT.replace(Report::ByCatcher);
    let result = catch_unwind(AssertUnwindSafe(call));
    REPORT.set(before);
    result.map_err(|panic| message(&*panic))
}

/// Runs `future`.
///
/// # Errors
/// The message of a panic in it.
pub async fn caught_in<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let mut future = pin!(future);
    poll_fn(|context| match caught(|| future.as_mut().poll(context)) {
        Ok(poll) => poll.map(Ok),
        Err(message) => Poll::Ready(Err(message)),
    })
    .await
}

fn describe(info: &PanicHookInfo) -> String {
    let message = message(info.payload());
    let place = info.location().map(place).unwrap_or_default();
    format!("internal error: {message}{place}")
}

/// Returns the end of the path of a source file; its beginning is of the machine that compiled it.
fn place(location: &Location) -> String {
    let parts: Vec<&str> = location.file().rsplit('/').take(3).collect();
    let file: Vec<&str> = parts.into_iter().rev().collect();
    format!(" ({}:{})", file.join("/"), location.line())
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_with_its_message() {
        assert_eq!(caught(|| 1), Ok(1));
        assert_eq!(
            caught(|| panic!("no {}", "luck")),
            Err::<(), _>("no luck".into())
        );
        let nested = caught(|| caught(|| panic!("inner")));
        assert_eq!(nested, Ok(Err::<(), _>("inner".into())));
    }

    #[tokio::test]
    async fn a_panic_in_a_future_is_caught_at_whatever_poll() {
        let future = async {
            tokio::task::yield_now().await;
            panic!("later");
        };
        assert_eq!(caught_in(future).await, Err::<(), _>("later".into()));
        assert_eq!(caught_in(async { 2 }).await, Ok(2));
    }

    #[test]
    fn panics_on_threads_of_this_library_become_lines() {
        install_hook();
        let ours = std::thread::spawn(|| {
            report_on_this_thread();
            panic!("a defect");
        });
        assert!(ours.join().is_err());
        let lines = library_log::take_lines_with("a defect");
        assert_eq!(lines.len(), 1);
        let expected = "internal error: a defect (src/process/panics.rs:";
        assert!(lines[0].starts_with(expected), "{lines:?}");
    }
}
