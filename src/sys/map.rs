//! Read-only shared mappings of files.
//!
//! *Owns*: the mapped address range. *Promises*: the range stays mapped as long as the value lives; a page of it that
//! cannot be read ends nobody ([`super::fault`]).
//! *Assumes*: whoever slices a mapping slices only bytes that are written and will never be written again,
//! and that lie below every later truncation (the log is append-only: engine, I-numbers on sealed segments).
//! *Never*: writes.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;

use super::fault::Guard;

/// A file mapped for reading, whole.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<libc::c_void>,
    len: usize,
    guard: Option<Guard>,
}

// SAFETY: the range is plain memory that nobody writes through this value; `munmap` may be called on any
// thread.
unsafe impl Send for Mapping {}
// SAFETY: only shared reads are possible through a reference.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `len` bytes of `file`; `len` must not be 0 nor beyond the file's end.
    ///
    /// # Errors
    /// What the kernel says; `InvalidInput` for a bad `len`.
    pub fn new(file: &File, len: u64) -> io::Result<Mapping> {
        if len == 0 || len > file.metadata()?.len() {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let len = usize::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        // SAFETY: a fresh range is asked for, no existing memory is touched; the result is checked below.
        let start = unsafe {
            libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start).ok_or_else(io::Error::last_os_error)?;
        let guard = Guard::new(start.as_ptr() as usize, len);
        Ok(Mapping { start, len, guard })
    }
}

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `start..start + len` is mapped readable until drop.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // Before somebody else has these addresses.
        self.guard = None;
        // SAFETY: exactly the range that `new` mapped; nobody can hold a slice of it any more.
        unsafe { libc::munmap(self.start.as_ptr(), self.len) };
    }
}

/// Bytes of a page.
pub fn page_bytes() -> usize {
    // SAFETY: no memory is involved.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

/// Which pages of a range of addresses are in memory: an octet a page from the one of `start` on, odd for yes;
/// at most as many as `pages` has room for. Looking does not bring anything in.
///
/// # Errors
/// What the kernel says, for example when something in the range is not mapped.
pub fn residency(start: usize, len: usize, pages: &mut [u8]) -> io::Result<&[u8]> {
    let page = page_bytes();
    let within = start % page;
    let len = len.saturating_add(within).min(pages.len() * page);
    let count = len.div_ceil(page);
    // SAFETY: only page tables are looked at, whatever the addresses are; `pages` has one byte for each page.
    let result = unsafe { libc::mincore((start - within) as *mut libc::c_void, len, pages.as_mut_ptr()) };
    if result == 0 { Ok(&pages[..count]) } else { Err(io::Error::last_os_error()) }
}

/// Whether all of `bytes` is in memory.
#[cfg(test)]
pub fn is_resident(bytes: &[u8]) -> bool {
    let mut pages = vec![0; bytes.len() / page_bytes() + 2];
    let pages = residency(bytes.as_ptr() as usize, bytes.len(), &mut pages).expect("mincore");
    pages.iter().all(|page| page & 1 == 1)
}

/// Asks the kernel to drop a file's clean pages from memory.
///
/// # Errors
/// What the kernel says.
#[cfg(test)]
pub fn evict(file: &File) -> io::Result<()> {
    // SAFETY: no memory is involved.
    match unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn mapping_follows_later_writes_and_outlives_the_file() {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(&[0; 8192]).expect("write");
        let mapping = Mapping::new(&file, 8192).expect("map");
        std::os::unix::fs::FileExt::write_all_at(&file, b"later", 4094).expect("write");
        drop(file);
        assert_eq!(&mapping.as_ref()[4094..4099], b"later");
        let bytes = &mapping.as_ref()[4090..4100];
        assert!(is_resident(bytes));
        let mut pages = [0; 8];
        let at = bytes.as_ptr() as usize;
        assert_eq!(residency(at, 2, &mut pages).expect("mincore").len(), 1);
        assert_eq!(residency(at, 3, &mut pages).expect("mincore").len(), 1);
        assert_eq!(residency(at, 10, &mut pages).expect("mincore").len(), 2);
        assert_eq!(residency(at, 10, &mut pages[..1]).expect("mincore").len(), 1);
        assert_eq!(residency(at, 0, &mut pages[..1]).expect("mincore").len(), 1);
        assert!(residency(usize::MAX - 4096, 10, &mut pages).is_err());
    }

    #[test]
    fn mapping_refuses_what_the_file_does_not_have() {
        let file = tempfile::tempfile().expect("a temporary file");
        assert!(Mapping::new(&file, 0).is_err());
        assert!(Mapping::new(&file, 1).is_err());
    }
}
