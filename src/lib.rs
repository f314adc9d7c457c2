pub mod fork;
mod process_local;
pub mod span;
mod process {
    pub use crate::process_local::ProcessLocal;
}
