//! Notices that the application has closed descriptors that it did not open, as daemons do.

use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{IntoRawFd, RawFd};
use std::os::unix::net::UnixStream;

/// The descriptors that something was built with.
pub struct Descriptors {
    /// Numbers of all of them, and perhaps of some that other threads opened at the same time.
    numbers: Vec<RawFd>,
    /// One that is not used for anything but to see whether it is still there.
    sentinel: RawFd,
    identity: Identity,
}

/// Device and inode, which are unique for a socket while it is open.
type Identity = (libc::dev_t, libc::ino_t);

impl Descriptors {
    /// Runs `build` and notes which descriptors it opens.
    pub fn opened_by<T>(build: impl FnOnce() -> io::Result<T>) -> io::Result<(T, Self)> {
        let before = open();
        // Never closed by this library: what has its number may be the application's by then.
        let sentinel = UnixStream::pair()?.0.into_raw_fd();
        let built = build()?;
        let mut numbers = open();
        numbers.retain(|number| !before.contains(number));
        let identity = identity(sentinel).ok_or_else(io::Error::last_os_error)?;
        let descriptors = Self {
            numbers,
            sentinel,
            identity,
        };
        Ok((built, descriptors))
    }

    /// Returns whether they are still open. Costs a system call: those of an application that closes
    /// what it did not open are all closed at once.
    pub fn are_open(&self) -> bool {
        identity(self.sentinel) == Some(self.identity)
    }

    /// Returns whether each of them is still open.
    pub fn are_all_open(&self) -> bool {
        let mut numbers = self.numbers.iter();
        self.are_open() && numbers.all(|number| identity(*number).is_some())
    }

    /// Closes them, as the application may.
    #[cfg(test)]
    pub fn close(&self) {
        for &number in &self.numbers {
            // SAFETY: the process of the test that calls this owns nothing else with these numbers.
            unsafe { libc::close(number) };
        }
    }

    /// Takes the numbers that are closed out of use, so that whatever still uses the old descriptors
    /// fails, and doesn't get hold of others that are opened later.
    pub fn retire(&self) {
        let Ok(null) = fs::File::open("/dev/null") else {
            return;
        };
        let null = null.into_raw_fd();
        for &number in &self.numbers {
            // SAFETY: makes a new descriptor with the lowest number from `number` on that is free.
            let occupied = unsafe { libc::fcntl(null, libc::F_DUPFD_CLOEXEC, number) };
            if occupied >= 0 && occupied != number {
                // SAFETY: made by the call before, and not handed out.
                unsafe { libc::close(occupied) };
            }
        }
        if !self.numbers.contains(&null) {
            // SAFETY: opened above, and not handed out.
            unsafe { libc::close(null) };
        }
    }
}

/// Returns the numbers of all open descriptors.
fn open() -> Vec<RawFd> {
    let entries = fs::read_dir("/dev/fd").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut numbers: Vec<RawFd> = numbers.collect();
    // Without that of the listing itself, which is closed by now.
    numbers.retain(|number| identity(*number).is_some());
    numbers
}

fn identity(number: RawFd) -> Option<Identity> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: writes `stat` if it succeeds; the number need not be of an open descriptor.
    let found = unsafe { libc::fstat(number, stat.as_mut_ptr()) };
    if found != 0 {
        return None;
    }
    // SAFETY: written by the call.
    let stat = unsafe { stat.assume_init() };
    Some((stat.st_dev, stat.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::in_a_process_with;

    #[test]
    fn descriptors_that_were_closed_or_replaced_are_noticed_and_their_numbers_retired() {
        let test = "process::descriptors::tests::descriptors_that_were_closed_or_replaced_are_noticed_and_their_numbers_retired";
        if in_a_process_with(test, "TEST_OF", "descriptors").is_none() {
            return;
        }
        let build = || Ok(fs::File::open("/dev/null")?.into_raw_fd());
        let (file, descriptors) = Descriptors::opened_by(build).unwrap();
        assert!(descriptors.numbers.contains(&file));
        assert!(descriptors.are_open());
        let other = fs::File::open("/dev/null").unwrap().into_raw_fd();
        // SAFETY: both were opened here and are used by nothing else.
        unsafe {
            libc::dup2(other, descriptors.sentinel);
            libc::close(file);
        }
        assert!(!descriptors.are_open());
        descriptors.retire();
        // SAFETY: asks for the flags of a descriptor.
        assert!(unsafe { libc::fcntl(file, libc::F_GETFD) } >= 0);
    }
}
