//! Which cores a thread runs on.
//!
//! *Owns*: affinity calls. *Promises*: only cores that the process was given are used. *Assumes*: Linux.
//! *Never*: chooses a policy.

use std::io;
use std::mem;

/// The set of cores a thread may run on.
#[derive(Clone)]
pub struct Cores(libc::cpu_set_t);

impl Cores {
    /// The cores of the calling thread.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn of_this_thread() -> io::Result<Cores> {
        // SAFETY: all zeroes is a valid, empty set; the kernel writes at most its size.
        let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
        // SAFETY: `set` is valid for writes of the given size.
        let result = unsafe { libc::sched_getaffinity(0, mem::size_of_val(&set), &mut set) };
        if result == 0 { Ok(Cores(set)) } else { Err(io::Error::last_os_error()) }
    }

    /// How many.
    pub fn count(&self) -> usize {
        // SAFETY: reads the set only.
        let count = unsafe { libc::CPU_COUNT(&self.0) };
        usize::try_from(count).unwrap_or(1)
    }

    /// The `nth` core of the set alone, counted round and round.
    pub fn nth(&self, nth: usize) -> Option<Cores> {
        let wanted = nth % self.count().max(1);
        // SAFETY: reads the set only; the index is below its size.
        let mut members =
            (0..libc::CPU_SETSIZE as usize).filter(|&core| unsafe { libc::CPU_ISSET(core, &self.0) });
        let core = members.nth(wanted)?;
        // SAFETY: all zeroes is a valid, empty set.
        let mut one: libc::cpu_set_t = unsafe { mem::zeroed() };
        // SAFETY: the index is below the set's size.
        unsafe { libc::CPU_SET(core, &mut one) };
        Some(Cores(one))
    }

    /// Binds the calling thread to this set.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn bind(&self) -> io::Result<()> {
        // SAFETY: the set is valid for reads of the given size.
        let result = unsafe { libc::sched_setaffinity(0, mem::size_of_val(&self.0), &self.0) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_moves_to_one_core_and_back() {
        let all = Cores::of_this_thread().expect("affinity");
        let one = all.nth(all.count() + 1).expect("a core");
        std::thread::spawn(move || {
            one.bind().expect("bind");
            assert_eq!(Cores::of_this_thread().expect("affinity").count(), 1);
            all.bind().expect("bind");
            assert_eq!(Cores::of_this_thread().expect("affinity").count(), all.count());
        })
        .join()
        .expect("the thread");
    }
}
