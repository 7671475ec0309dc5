//! Calls about the whole process: locks on files, limits, signals, free space.
//!
//! *Owns*: flock, rlimits, the signal mask, statvfs, eventfd. *Promises*: each call is one system call with
//! its error.
//! *Assumes*: Linux. *Never*: ends the process.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Takes the exclusive lock of `file` if nobody has it; it ends with the descriptor.
///
/// # Errors
/// `WouldBlock` when another process has it.
pub fn lock_exclusive(file: &File) -> io::Result<()> {
    // SAFETY: no memory is involved.
    checked(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }).map(drop)
}

/// Bytes that an ordinary user may still write on the file system of `path`.
///
/// # Errors
/// What the kernel says.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: all zeroes is valid for this plain struct.
    let mut facts: libc::statvfs = unsafe { mem::zeroed() };
    // SAFETY: `path` ends with a zero byte, `facts` is valid for writes.
    checked(unsafe { libc::statvfs(path.as_ptr(), &mut facts) })?;
    Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
}

/// Raises the number of descriptors this process may hold to what it is allowed, and returns it.
///
/// # Errors
/// What the kernel says.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid for writes.
    checked(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) })?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: `limit` is valid for reads.
    checked(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) })?;
    Ok(limit.rlim_cur)
}

/// Has freed blocks of at least `bytes` given back to the kernel at once, where the allocator can (glibc).
/// Left alone, glibc keeps ever larger ones in each thread: a few password checks would hold on to 100 MB.
pub fn give_back_blocks_of(bytes: i32) {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets one number of the allocator; a refusal changes nothing and is harmless.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, bytes)
    };
    #[cfg(not(target_env = "gnu"))]
    let _ = bytes;
}

/// A counter whose reads wait until it is not zero.
///
/// # Errors
/// What the kernel says.
pub fn event_counter() -> io::Result<OwnedFd> {
    // SAFETY: no memory is involved.
    let descriptor = checked(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) })?;
    // SAFETY: the descriptor was just made and is nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Adds one to an [`event_counter`].
///
/// # Errors
/// What the kernel says.
pub fn event_signal(counter: &impl AsRawFd) -> io::Result<()> {
    let one = 1u64.to_ne_bytes();
    // SAFETY: eight readable bytes.
    let result = unsafe { libc::write(counter.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A set of signals that are waited for instead of interrupting.
pub struct Signals(libc::sigset_t);

impl Signals {
    /// SIGINT and SIGTERM.
    pub fn stopping() -> Signals {
        // SAFETY: all zeroes is storage for a set, which `sigemptyset` then makes a valid one.
        let mut set: libc::sigset_t = unsafe { mem::zeroed() };
        // SAFETY: `set` is valid for writes; the numbers are signals.
        unsafe {
            libc::sigemptyset(&mut set);
            libc::sigaddset(&mut set, libc::SIGINT);
            libc::sigaddset(&mut set, libc::SIGTERM);
        }
        Signals(set)
    }

    /// Blocks them in the calling thread and in those it will start.
    pub fn block(&self) {
        // SAFETY: the set is valid for reads; the old mask is not asked for.
        let result = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &self.0, std::ptr::null_mut()) };
        assert_eq!(result, 0, "only a bad `how` makes it fail");
    }

    /// Waits for one of them (blocked before) and returns its number.
    pub fn wait(&self) -> i32 {
        let mut signal = 0;
        // SAFETY: both are valid for the call.
        let result = unsafe { libc::sigwait(&self.0, &mut signal) };
        assert_eq!(result, 0, "only a set with numbers that are no signals makes it fail");
        signal
    }
}

fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_is_refused() {
        let path = tempfile::NamedTempFile::new().expect("a temporary file");
        let (first, second) =
            (File::open(path.path()).expect("open"), File::open(path.path()).expect("open"));
        lock_exclusive(&first).expect("free");
        assert_eq!(lock_exclusive(&second).expect_err("taken").kind(), io::ErrorKind::WouldBlock);
        drop(first);
        lock_exclusive(&second).expect("free again");
    }

    #[test]
    fn space_and_limits_are_known() {
        assert!(free_bytes(Path::new("/")).expect("statvfs") > 0);
        assert!(raise_descriptor_limit().expect("rlimit") >= 256);
    }
}
