#![allow(dead_code)]
#[path = "fork.rs"] pub mod fork0;
pub mod fork { pub use crate::fork0::*; }
mod process_local;
pub mod span;
pub mod process { pub use crate::process_local::ProcessLocal; pub use crate::fork0 as fork; }
#[path = "queue/interrupt.rs"] mod interrupt;
pub mod queue { pub use crate::interrupt::Interrupt; }
pub mod shutdown { pub fn at_process_end() {} }
#[path = "diagnostics.rs"] pub mod diagnostics;
pub mod report { pub use crate::diagnostics as library_log; }
