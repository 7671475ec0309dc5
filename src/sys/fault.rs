//! Pages of mapped files that cannot be read.
//!
//! *Owns*: which address ranges are mapped files, and the answer to SIGBUS in them. *Promises*: whoever touches a page
//! that the disk does not give, or that a truncated file no longer has, sees zeroes and goes on; that it happened is
//! known before anybody acts on what was seen ([`count`], [`is_sound`]). Outside of those ranges a SIGBUS ends the
//! process as ever. *Assumes*: a page that was bad stays out of use until the file is mapped anew. *Never*: locks,
//! allocates or prints in the handler.
//!
//! ```text
//!  touch ──► SIGBUS ──► ours? ─yes─► a page of zeroes in its place, noted, counted ──► goes on
//!                          └─no──► as without a handler
//! ```

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::map::page_bytes;
use crate::limits::{BAD_PAGES_MAX, GUARDED_MAPPINGS_MAX};

/// A mapped range; 0 to 0 when it is free.
struct Range {
    start: AtomicUsize,
    end: AtomicUsize,
    /// More pages of it are bad than could be noted: all count as bad.
    all_bad: AtomicBool,
}

static RANGES: [Range; GUARDED_MAPPINGS_MAX] = [const {
    Range { start: AtomicUsize::new(0), end: AtomicUsize::new(0), all_bad: AtomicBool::new(false) }
}; GUARDED_MAPPINGS_MAX];
/// Ranges from here on were never used.
static USED: AtomicUsize = AtomicUsize::new(0);
/// Addresses of bad pages; 0 where there is room for one more.
static BAD: [AtomicUsize; BAD_PAGES_MAX] = [const { AtomicUsize::new(0) }; BAD_PAGES_MAX];
/// Whether any page ever turned out to be bad.
static ANY: AtomicBool = AtomicBool::new(false);
static PAGE: AtomicUsize = AtomicUsize::new(4096);
/// Ranges that were given back. Not for the handler.
static FREE: Mutex<Vec<usize>> = Mutex::new(Vec::new());

thread_local! {
    /// How often this thread met with one. A plain number: the handler may touch it.
    static MET: Cell<usize> = const { Cell::new(0) };
}

/// A range that is watched, until it is dropped. Drop it before the range is unmapped.
#[derive(Debug)]
pub struct Guard(usize);

impl Guard {
    /// Watches a mapped file. None: as many as can be are watched; then a bad page of it ends the process.
    pub fn new(start: usize, len: usize) -> Option<Guard> {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        let at = free.pop().or_else(|| {
            let next = USED.load(Ordering::Acquire);
            (next < RANGES.len()).then(|| USED.fetch_add(1, Ordering::AcqRel))
        })?;
        let range = &RANGES[at];
        range.all_bad.store(false, Ordering::Release);
        range.end.store(start.saturating_add(len), Ordering::Release);
        range.start.store(start, Ordering::Release);
        Some(Guard(at))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let range = &RANGES[self.0];
        let (start, end) = (range.start.load(Ordering::Acquire), range.end.load(Ordering::Acquire));
        range.end.store(0, Ordering::Release);
        range.start.store(0, Ordering::Release);
        for bad in &BAD {
            if (start..end).contains(&bad.load(Ordering::Acquire)) {
                bad.store(0, Ordering::Release);
            }
        }
        FREE.lock().unwrap_or_else(PoisonError::into_inner).push(self.0);
    }
}

/// How often this thread touched a page of a mapped file that turned out to be bad.
pub fn count() -> usize {
    MET.with(Cell::get)
}

/// Whether none of these bytes stands in for something that could not be read.
pub fn is_sound(bytes: &[u8]) -> bool {
    if !ANY.load(Ordering::Acquire) {
        return true;
    }
    let (start, end) = (bytes.as_ptr() as usize, bytes.as_ptr() as usize + bytes.len());
    let page = PAGE.load(Ordering::Relaxed);
    let is_bad = |bad: &AtomicUsize| {
        let at = bad.load(Ordering::Acquire);
        at != 0 && at < end && start < at + page
    };
    let is_in_bad = |range: &Range| {
        range.all_bad.load(Ordering::Acquire)
            && range.start.load(Ordering::Acquire) < end
            && start < range.end.load(Ordering::Acquire)
    };
    !BAD.iter().any(is_bad) && !RANGES[..USED.load(Ordering::Acquire)].iter().any(is_in_bad)
}

/// Answers SIGBUS from now on.
///
/// # Errors
/// What the kernel says.
pub fn install() -> io::Result<()> {
    PAGE.store(page_bytes(), Ordering::Release);
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = on_bus_error;
    // SAFETY: an action of zeroes is one without flags and with an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the handler calls nothing that is not safe in a signal handler, and lives as long as the process.
    match unsafe { libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

extern "C" fn on_bus_error(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel hands a valid siginfo to a handler with SA_SIGINFO; SIGBUS has an address in it. `errno` is
    // the interrupted code's and is put back.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        if !stand_in((*info).si_addr() as usize) {
            // The instruction is repeated when this returns, and then nobody answers.
            libc::signal(libc::SIGBUS, libc::SIG_DFL);
        }
        *errno = before;
    }
}

/// Puts a page of zeroes where one cannot be read, if that is in a range of ours.
fn stand_in(address: usize) -> bool {
    let page = PAGE.load(Ordering::Relaxed);
    let at = address - address % page;
    let is_in =
        |range: &&Range| range.start.load(Ordering::Acquire) <= at && at < range.end.load(Ordering::Acquire);
    let Some(range) = RANGES[..USED.load(Ordering::Acquire)].iter().find(is_in) else { return false };
    let note = |bad: &AtomicUsize| bad.compare_exchange(0, at, Ordering::AcqRel, Ordering::Acquire).is_ok();
    if !BAD.iter().any(note) {
        range.all_bad.store(true, Ordering::Release);
    }
    // Noted before anybody can see the zeroes.
    ANY.store(true, Ordering::Release);
    MET.with(|met| met.set(met.get() + 1));
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    // SAFETY: the page lies in a range that is mapped for reading as long as its guard lives; it stays so.
    let zeroes = unsafe { libc::mmap(at as *mut libc::c_void, page, libc::PROT_READ, flags, -1, 0) };
    zeroes != libc::MAP_FAILED
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::sys::map::Mapping;

    #[test]
    fn a_page_that_is_gone_is_zeroes_and_known_and_the_process_lives() {
        install().expect("a handler");
        let page = page_bytes();
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&vec![7; 3 * page]).expect("written");
        let mapping = Mapping::new(&file, 3 * page as u64).expect("mapped");
        let bytes = mapping.as_ref();
        assert!(is_sound(bytes) && bytes.iter().all(|byte| *byte == 7));
        let before = count();
        file.set_len(page as u64).expect("cut off");
        assert_eq!((bytes[page - 1], bytes[page], bytes[page + 1]), (7, 0, 0));
        assert!(count() > before);
        assert!(is_sound(&bytes[..page]) && !is_sound(&bytes[page - 1..=page]) && !is_sound(&bytes[page..]));
        assert!(is_sound(&bytes[2 * page..]), "nobody has looked there");
        // Whoever comes to the same addresses later finds nothing noted there.
        drop(mapping);
        let start = page * 1_000_000;
        let guard = Guard::new(start, page).expect("room");
        BAD.iter()
            .find(|bad| bad.load(Ordering::Acquire) == 0)
            .expect("room")
            .store(start, Ordering::Release);
        drop(guard);
        assert!(BAD.iter().all(|bad| bad.load(Ordering::Acquire) != start));
    }
}
