//! The process: which one of a line of forks it is, what belongs to it, and what it must have
//! initialised before a child can be forked.

#![allow(unsafe_code)]

pub(crate) mod descriptors;
pub(crate) mod environment;
pub mod fork;
pub(crate) mod names;
pub(crate) mod panics;
mod process_local;
pub(crate) mod signals;

pub use process_local::ProcessLocal;
