//! The errors that the classes raise.

use crate::ruby::Whole;
use magnus::error::ErrorType;
use magnus::value::{Lazy, ReprValue};
use magnus::{Error, ExceptionClass, Module, RModule, Ruby, Value};

/// `Datadog::NativeExport`, with the error classes that Ruby code has defined in it.
pub static MODULE: Lazy<RModule> = Lazy::new(|ruby| {
    ruby.define_module("Datadog")
        .and_then(|datadog| datadog.define_module("NativeExport"))
        .unwrap_or_else(|error| panic!("Datadog::NativeExport: {error}"))
});

static ERROR: Lazy<ExceptionClass> = Lazy::new(|ruby| class(ruby, "Error"));
static CONSUMED: Lazy<ExceptionClass> = Lazy::new(|ruby| class(ruby, "ConsumedError"));
static CLOSED: Lazy<ExceptionClass> = Lazy::new(|ruby| class(ruby, "ClosedError"));
static CONFIGURATION: Lazy<ExceptionClass> = Lazy::new(|ruby| class(ruby, "ConfigurationError"));

fn class(ruby: &Ruby, name: &str) -> ExceptionClass {
    ruby.get_inner(&MODULE)
        .const_get(name)
        .unwrap_or_else(|error| panic!("Datadog::NativeExport::{name}: {error}"))
}

pub fn error(ruby: &Ruby, message: &'static str) -> Error {
    Error::new(ruby.get_inner(&ERROR), message)
}

pub fn consumed(ruby: &Ruby, what: &str) -> Error {
    let message = format!("the {what} was handed over and can't be used any more");
    Error::new(ruby.get_inner(&CONSUMED), message)
}

pub fn closed(ruby: &Ruby) -> Error {
    Error::new(ruby.get_inner(&CLOSED), "the exporter has been shut down")
}

pub fn configuration(ruby: &Ruby, message: String) -> Error {
    Error::new(ruby.get_inner(&CONFIGURATION), message)
}

/// A value of the wrong class.
pub fn wrong_class(ruby: &Ruby, field: &str, expected: &str, got: Value) -> Error {
    let message = format!("{field}: expected {expected}, got {}", describe(got));
    Error::new(ruby.exception_type_error(), message)
}

/// A number that the wire has no room for.
pub fn out_of_range(ruby: &Ruby, field: &str, expected: &str, got: Value) -> Error {
    let message = format!("{field}: expected {expected}, got {}", describe(got));
    Error::new(ruby.exception_range_error(), message)
}

/// Text with broken bytes, or none at all, where it has to be whole.
pub fn broken_text(ruby: &Ruby, field: &str) -> Error {
    let message = format!("{field}: expected text that is valid in its encoding");
    Error::new(ruby.exception_arg_error(), message)
}

/// `error`, with where it happened in front of its message when it is one of ours.
pub fn within(place: &str, error: &Error) -> Error {
    match error.error_type() {
        ErrorType::Error(class, message) => Error::new(*class, format!("{place}.{message}")),
        _ => error.clone(),
    }
}

/// What an error says, without its class.
pub fn message(error: &Error) -> String {
    match error.error_type() {
        ErrorType::Error(_, message) => message.to_string(),
        _ => error.to_string(),
    }
}

/// The class, and the value where that is short and no code of the user's runs to show it.
pub fn describe(value: Value) -> String {
    const SHOWN: usize = 60;
    let ruby = Ruby::get_with(value);
    if value.is_nil() {
        return "nil".into();
    }
    // SAFETY: the name is copied before anything else happens.
    let class = unsafe { value.classname() }.into_owned();
    let is_short = Whole::from_value(value).is_some_and(|whole| whole.magnitude.is_some());
    let text = match is_short || value.is_kind_of(ruby.class_float()) {
        true => value.to_string(),
        false => String::new(),
    };
    match text.len() {
        1..=SHOWN => format!("{class} ({text})"),
        _ => class,
    }
}
