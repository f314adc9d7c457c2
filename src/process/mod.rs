//! The process: which one of a line of forks it is, what belongs to it, and its signals.

#![allow(unsafe_code)]

pub mod fork;
mod process_local;
pub(crate) mod signals;

pub use process_local::ProcessLocal;
