//! Values that the libraries read from the environment once, and that must not be what they are.

use http::HeaderValue;
use libdd_common::entity_id;
use std::backtrace::Backtrace;
use std::env;
use std::ffi::OsStr;
use std::sync::atomic::{AtomicBool, Ordering};

const EXTERNAL_ENV: &str = "DD_EXTERNAL_ENV";

/// Makes the standard library take no backtraces in this library, whatever `RUST_BACKTRACE` says.
///
/// Errors of the libraries, `anyhow` ones, take one when they are made. That locks a mutex of the
/// standard library which is never unlocked in a child that is forked meanwhile: the child would
/// hang at its own first error. Whether to take backtraces is decided when the first one is asked
/// for, and kept.
pub fn disable_backtraces() {
    let variables = ["RUST_LIB_BACKTRACE", "RUST_BACKTRACE"];
    let asking = variables.map(|name| env::var_os(name).map(|value| (name, value)));
    // The first of both that is set decides.
    match asking.into_iter().flatten().next() {
        Some((name, value)) if value != "0" => {
            with_value(name, "0".as_ref(), &value, || drop(Backtrace::capture()));
        }
        _ => drop(Backtrace::capture()),
    }
}

/// Has the libraries read the headers that tell the agent which container a request comes from.
/// Returns a complaint, once for each process that reads it and its children, if `DD_EXTERNAL_ENV` cannot be one of them:
/// it is left out then, since all requests would fail with it.
pub fn read_entity_headers() -> Option<&'static str> {
    static COMPLAINED: AtomicBool = AtomicBool::new(false);
    let read = || {
        let _ = entity_id::get_entity_headers().count();
    };
    match env::var(EXTERNAL_ENV) {
        Ok(value) if HeaderValue::from_str(&value).is_err() => {
            with_value(EXTERNAL_ENV, "".as_ref(), value.as_ref(), read);
            let is_new = !COMPLAINED.swap(true, Ordering::Relaxed);
            is_new
                .then_some("DD_EXTERNAL_ENV is not passed on: it cannot be sent as an HTTP header")
        }
        _ => {
            read();
            None
        }
    }
}

/// Runs `read` while a variable that is set has another value.
fn with_value(name: &str, meanwhile: &OsStr, value: &OsStr, read: impl FnOnce()) {
    // SAFETY: the variable is set, so that the C library replaces one pointer in the environment,
    // and frees or moves nothing that another thread may be reading: what a thread sees is one of
    // both values. Threads that write to it go through the language's lock, which the caller holds,
    // as whenever an application sets a variable.
    unsafe { env::set_var(name, meanwhile) };
    read();
    // SAFETY: as above.
    unsafe { env::set_var(name, value) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::in_a_process_with;
    use std::backtrace::BacktraceStatus;

    #[test]
    fn no_backtrace_is_taken_whatever_the_environment_says() {
        let test =
            "process::environment::tests::no_backtrace_is_taken_whatever_the_environment_says";
        for name in ["RUST_BACKTRACE", "RUST_LIB_BACKTRACE"] {
            if let Some(value) = in_a_process_with(test, name, "full") {
                disable_backtraces();
                assert_eq!(Backtrace::capture().status(), BacktraceStatus::Disabled);
                assert_eq!(env::var(name), Ok(value));
                return;
            }
        }
    }

    #[test]
    fn an_external_env_that_cannot_be_a_header_is_left_out() {
        let test =
            "process::environment::tests::an_external_env_that_cannot_be_a_header_is_left_out";
        for value in ["it-false,cn-web", "cn-b\u{fc}cher", "cn-a\n"] {
            if let Some(value) = in_a_process_with(test, EXTERNAL_ENV, value) {
                let can_be_sent = HeaderValue::from_str(&value).is_ok();
                assert_eq!(read_entity_headers().is_none(), can_be_sent);
                let mut headers = entity_id::get_entity_headers();
                let is_sent = headers.any(|(name, _)| name == "datadog-external-env");
                assert_eq!(is_sent, can_be_sent);
                return;
            }
        }
    }
}
