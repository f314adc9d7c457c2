//! The first look-up of a name in a process.

use std::net::ToSocketAddrs;
use std::sync::Once;

/// Has the C library load what it looks up names with, on the calling thread.
///
/// glibc does so under a lock at the first look-up. In a child that is forked meanwhile, by another
/// thread, no name could be looked up. The name here passes through all configured services, but no
/// server is asked for it, since one of its labels is longer than DNS allows.
pub fn load_name_services() {
    static LOAD: Once = Once::new();
    LOAD.call_once(|| {
        let label = "x".repeat(64);
        let _ = (format!("{label}.invalid."), 0).to_socket_addrs();
    });
}
