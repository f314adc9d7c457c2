//! The errors that the classes raise, and the failures of which they are made.

use crate::ruby::RubyInteger;
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

/// Why a value could not be lowered.
#[derive(Debug)]
pub struct Failure(Box<Cause>);

#[derive(Debug)]
enum Cause {
    /// The value can't be sent.
    Problem {
        kind: Kind,
        /// Where the value is, from the outside in: `spans[1].meta["key"]`.
        path: String,
        problem: String,
    },
    /// Ruby raised something, which may have nothing to do with the value.
    Raised(Error),
}

/// The class of the exception that a problem is raised as.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Type,
    Range,
    Argument,
    Runtime,
    NoMemory,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(Box::new(Cause::Raised(error)))
    }
}

impl Failure {
    #[cold]
    pub fn new(kind: Kind, path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self(Box::new(Cause::Problem {
            kind,
            path: path.into(),
            problem: problem.into(),
        }))
    }

    /// A value of the wrong class.
    #[cold]
    pub fn wrong_class(path: impl Into<String>, expected: &str, got: Value) -> Self {
        let problem = format!("expected {expected}, got {}", describe(got));
        Self::new(Kind::Type, path, problem)
    }

    /// A number that the wire has no room for.
    #[cold]
    pub fn out_of_range(path: impl Into<String>, expected: &str, got: Value) -> Self {
        let problem = format!("expected {expected}, got {}", describe(got));
        Self::new(Kind::Range, path, problem)
    }

    /// Adds where it happened, seen from further out.
    #[cold]
    pub fn within(mut self, place: &str) -> Self {
        if let Cause::Problem { path, .. } = &mut *self.0 {
            path.insert_str(0, place);
        }
        self
    }

    /// Returns whether it is about the value, unlike an interrupt, or the end of the thread or of memory.
    pub fn is_about_value(&self, ruby: &Ruby) -> bool {
        match &*self.0 {
            Cause::Problem { kind, .. } => !matches!(kind, Kind::NoMemory),
            Cause::Raised(error) => error.is_kind_of(ruby.exception_standard_error()),
        }
    }

    /// Says what happened, without the class of the exception.
    pub fn message(&self) -> String {
        match &*self.0 {
            Cause::Problem { path, problem, .. } if path.is_empty() => problem.clone(),
            Cause::Problem { path, problem, .. } => format!("{path}: {problem}"),
            Cause::Raised(error) => error.to_string(),
        }
    }

    /// Returns the exception to be raised.
    pub fn into_error(self, ruby: &Ruby) -> Error {
        let message = self.message();
        match *self.0 {
            Cause::Raised(error) => error,
            Cause::Problem { kind, .. } => Error::new(kind.class(ruby), message),
        }
    }
}

impl Kind {
    fn class(self, ruby: &Ruby) -> ExceptionClass {
        match self {
            Self::Type => ruby.exception_type_error(),
            Self::Range => ruby.exception_range_error(),
            Self::Argument => ruby.exception_arg_error(),
            Self::Runtime => ruby.exception_runtime_error(),
            Self::NoMemory => ruby.exception_no_mem_error(),
        }
    }
}

/// Describes a value: its class, and the value where that is short and no code of the user's runs to show it.
pub fn describe(value: Value) -> String {
    const SHOWN: usize = 60;
    let ruby = Ruby::get_with(value);
    if value.is_nil() {
        return "nil".into();
    }
    let class = value.class().to_string();
    let is_short = RubyInteger::from_value(value).is_some_and(|whole| whole.magnitude.is_some());
    let text = match is_short || value.is_kind_of(ruby.class_float()) {
        true => value.to_string(),
        false => String::new(),
    };
    match text.len() {
        1..=SHOWN => format!("{class} ({text})"),
        _ => class,
    }
}
