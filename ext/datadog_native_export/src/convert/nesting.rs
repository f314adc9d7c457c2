//! Arrays and Hashes inside each other.

use crate::errors::{Failure, Kind, describe};
use crate::ruby::same_object;
use magnus::value::ReprValue;
use magnus::{Ruby, Value};

/// How deep they may be, in `meta_struct` and in the attributes of links.
const DEEPEST: usize = 64;

/// The Arrays and Hashes that a value is in.
///
/// To be kept on the stack, where the garbage collector finds them: what lowers a value may take it out of them.
pub struct Nesting {
    ancestors: [Value; DEEPEST],
    depth: usize,
}

impl Nesting {
    pub fn new(ruby: &Ruby) -> Self {
        Self {
            ancestors: [ruby.qnil().as_value(); DEEPEST],
            depth: 0,
        }
    }

    /// Goes into an Array or a Hash.
    ///
    /// # Errors
    /// When it contains itself, or is too deep inside others.
    pub fn enter(&mut self, value: Value, path: impl Fn() -> String) -> Result<(), Failure> {
        let mut ancestors = self.ancestors[..self.depth].iter();
        if ancestors.any(|ancestor| same_object(*ancestor, value)) {
            let problem = format!("this {} contains itself", describe(value));
            return Err(Failure::new(Kind::Argument, path(), problem));
        }
        let Some(place) = self.ancestors.get_mut(self.depth) else {
            let problem = format!("expected at most {DEEPEST} Arrays and Hashes inside each other");
            return Err(Failure::new(Kind::Argument, path(), problem));
        };
        *place = value;
        self.depth += 1;
        Ok(())
    }

    /// Goes back to a depth, from wherever that was left.
    pub fn return_to(&mut self, depth: usize) {
        self.depth = depth;
    }

    pub fn depth(&self) -> usize {
        self.depth
    }
}
