//! Ruby values to what a span holds, and back: one file for each kind of value.

pub mod events;
pub mod links;
pub mod meta_struct;
mod nesting;
pub mod numbers;
mod string_cache;
pub mod tags;
pub mod text;
mod times;

use crate::errors::{Failure, Kind};
use crate::ruby::values_from;
use magnus::value::ReprValue;
use magnus::{RArray, Ruby, Value};
use pipeline::span::{AGENT_MAX_BYTES, LeftOut};
use text::Texts;

/// What is known while the values of a span are lowered.
pub struct Lowering<'a> {
    pub ruby: &'a Ruby,
    pub texts: &'a mut Texts,
    pub policy: Policy,
    /// Whether an Array in an event may hold values of several types, which an agent doesn't take.
    pub mixed_arrays: bool,
    pub tally: Tally,
    /// Bytes that may still be spent on the span.
    left: usize,
}

/// What becomes of a value that can't be sent as it is.
#[derive(Clone, Copy, PartialEq)]
pub enum Policy {
    /// It is repaired where it has an obvious form, or left out, and counted: for the spans of a tracer.
    Lenient,
    /// It raises. Text that is broken, which nobody may have noticed, is repaired and counted: for values that are
    /// passed to [`crate::classes::span::Span`] one by one.
    Explicit,
    /// It raises, text that is broken too.
    Strict,
}

/// What became of values that could not be sent as they were.
#[derive(Debug, Default)]
pub struct Tally {
    /// Number of values whose text was broken, or that were made text.
    pub repaired: usize,
    /// Number of values that were left out.
    pub left_out: usize,
    /// What was wrong with the first of those.
    pub first_left_out: LeftOut,
}

impl<'a> Lowering<'a> {
    pub fn new(ruby: &'a Ruby, texts: &'a mut Texts, policy: Policy) -> Self {
        let mut lowering = Self {
            ruby,
            texts,
            policy,
            mixed_arrays: false,
            tally: Tally::default(),
            left: 0,
        };
        lowering.begin_span();
        lowering
    }

    /// Begins with another span.
    pub fn begin_span(&mut self) {
        self.left = AGENT_MAX_BYTES;
        self.texts.arena.begin_span();
    }

    /// Takes bytes from what a span may spend on values that few objects can make many of: a few Arrays inside each
    /// other, or one String in many places, can stand for billions of bytes.
    ///
    /// # Errors
    /// When it would be more than an agent takes in one request.
    pub fn spend(&mut self, bytes: usize, path: impl FnOnce() -> String) -> Result<(), Failure> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| {
            let problem = format!("expected at most {AGENT_MAX_BYTES} bytes in a span");
            Failure::new(Kind::Argument, path(), problem)
        })?;
        Ok(())
    }

    /// Counts a value whose text was broken.
    ///
    /// # Errors
    /// When text has to be whole.
    fn repaired(&mut self, path: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.policy == Policy::Strict {
            let problem = "expected text that is valid in its encoding";
            return Err(Failure::new(Kind::Argument, path(), problem));
        }
        self.tally.repaired += 1;
        Ok(())
    }

    /// Counts a value that is left out for a reason.
    ///
    /// # Errors
    /// The reason, unless values may be left out, and it is about the value.
    pub fn left_out(&mut self, reason: Failure) -> Result<(), Failure> {
        match self.policy {
            Policy::Explicit => Err(reason),
            Policy::Lenient | Policy::Strict => self.skip(reason),
        }
    }

    /// Counts a value that means nothing to an agent, such as NaN, and is left out without raising for a reason.
    ///
    /// # Errors
    /// The reason, if everything has to be sent, or if it isn't about the value.
    pub fn skip(&mut self, reason: Failure) -> Result<(), Failure> {
        if self.policy == Policy::Strict || !reason.is_about_value(self.ruby) {
            return Err(reason);
        }
        self.tally.left_out += 1;
        if self.tally.first_left_out.is_none() {
            self.tally.first_left_out = Some(reason.message());
        }
        Ok(())
    }

    /// Does without a value that could not be lowered.
    ///
    /// # Errors
    /// As [`Lowering::left_out`].
    pub fn or_left_out<T>(&mut self, result: Result<T, Failure>) -> Result<Option<T>, Failure> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(reason) => self.left_out(reason).map(|()| None),
        }
    }
}

/// Lowers the elements of an Array, or none for nil, and does without those that can't be sent.
///
/// # Errors
/// As [`Lowering::left_out`].
#[inline]
pub fn each_of<'l, T: AsMut<Lowering<'l>>>(
    this: &mut T,
    list: Value,
    field: &str,
    mut lower: impl FnMut(&mut T, Value) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if list.is_nil() {
        return Ok(());
    }
    let Some(array) = RArray::from_value(list) else {
        let reason = Failure::wrong_class(field, "Array", list);
        return this.as_mut().left_out(reason);
    };
    let mut index = 0;
    // Each element is asked for when it is its turn: one may call Ruby code, which may change the Array.
    while let [Some(element)] = values_from(array, index) {
        let lowered = lower(this, element);
        let lowered = lowered.map_err(|failure| failure.within(&format!("{field}[{index}].")));
        this.as_mut().or_left_out(lowered)?;
        index += 1;
    }
    Ok(())
}
