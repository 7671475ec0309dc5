//! Checks passwords off the shards.
//!
//! *Owns*: a pool of threads, its bounded queue, and a short memory of good checks. *Promises*: a shard
//! never waits; a full queue says so at once; what is remembered is a keyed hash over PHC string and
//! password, so a new password forgets the old one. *Assumes*: one check takes milliseconds. *Never*: keeps
//! a password beyond its check.

use std::collections::hash_map::RandomState;
use std::collections::{HashSet, VecDeque};
use std::hash::BuildHasher;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::inbox::{Inbox, Parcel};
use crate::limits::{VERIFY_CACHE_ENTRIES_MAX, VERIFY_CACHE_MS, VERIFY_QUEUE_MAX};
use crate::proto::Secret;
use crate::shard::event::Ticket;

/// What came of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It was known.
    Good,
    /// A thread will answer into the inbox.
    Queued,
    /// The queue is full.
    Full,
}

/// The pool. Dropping it ends the threads after the check that each is at.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// The way in; clones lead to the same pool.
#[derive(Clone)]
pub struct Verifier(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    work: Condvar,
    /// Two independent keys: 128 bits of SipHash, new in every process.
    keys: (RandomState, RandomState),
}

#[derive(Default)]
struct State {
    queue: VecDeque<Check>,
    known: Known,
    ending: bool,
}

struct Check {
    hash: String,
    password: Secret,
    ticket: Ticket,
    answer: Inbox,
}

impl Pool {
    /// Starts `threads` threads, at least one.
    ///
    /// # Errors
    /// A thread could not be started.
    pub fn start(threads: usize) -> Result<Pool, String> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            keys: (RandomState::new(), RandomState::new()),
        });
        let mut pool = Pool { shared, threads: Vec::new() };
        for number in 0..threads.max(1) {
            let shared = pool.shared.clone();
            let thread = std::thread::Builder::new()
                .name(format!("ringpost-verify-{number}"))
                .spawn(move || shared.work())
                .map_err(|error| format!("cannot start a password thread: {error}"))?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// The way in.
    pub fn verifier(&self) -> Verifier {
        Verifier(self.shared.clone())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.state().ending = true;
        self.shared.work.notify_all();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                eprintln!("ringpost: a password thread panicked");
            }
        }
    }
}

impl Verifier {
    /// Asks whether `password` belongs to `hash`; the answer goes to `answer` with `ticket` unless it is
    /// known.
    pub fn ask(&self, hash: String, password: Secret, ticket: Ticket, answer: &Inbox) -> Asked {
        let key = self.0.key(&hash, &password);
        let mut state = self.0.state();
        if state.known.contains(key, Instant::now()) {
            return Asked::Good;
        }
        if state.queue.len() >= VERIFY_QUEUE_MAX {
            return Asked::Full;
        }
        state.queue.push_back(Check { hash, password, ticket, answer: answer.clone() });
        drop(state);
        self.0.work.notify_one();
        Asked::Queued
    }
}

impl Shared {
    /// The state is a plain queue, good after a panic as before.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self, hash: &str, password: &Secret) -> u128 {
        let what = (hash, password.0.as_slice());
        (u128::from(self.keys.0.hash_one(what)) << 64) | u128::from(self.keys.1.hash_one(what))
    }

    fn work(&self) {
        let mut state = self.state();
        loop {
            if state.ending {
                return;
            }
            let Some(check) = state.queue.pop_front() else {
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(state);
            let good = crate::password::verify(&check.hash, &check.password.0);
            let key = self.key(&check.hash, &check.password);
            if good {
                self.state().known.remember(key, Instant::now());
            }
            check.answer.put_patiently(Parcel::Verified { ticket: check.ticket, good });
            state = self.state();
        }
    }
}

/// Keys of good checks. All live equally long, so the oldest is always at the front.
#[derive(Default)]
struct Known {
    keys: HashSet<u128>,
    order: VecDeque<(Instant, u128)>,
}

impl Known {
    fn contains(&mut self, key: u128, now: Instant) -> bool {
        self.forget(now, VERIFY_CACHE_ENTRIES_MAX);
        self.keys.contains(&key)
    }

    fn remember(&mut self, key: u128, now: Instant) {
        self.forget(now, VERIFY_CACHE_ENTRIES_MAX - 1);
        if self.keys.insert(key) {
            self.order.push_back((now, key));
        }
    }

    /// Drops what is too old, and the oldest beyond `room`.
    fn forget(&mut self, now: Instant, room: usize) {
        let life = Duration::from_millis(VERIFY_CACHE_MS);
        while let Some((since, key)) = self.order.front().copied() {
            if now.duration_since(since) < life && self.order.len() <= room {
                return;
            }
            self.order.pop_front();
            self.keys.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(inbox: &Inbox) -> (Ticket, bool) {
        for _ in 0..10_000 {
            match inbox.take().as_deref() {
                Some(Parcel::Verified { ticket, good }) => return (*ticket, *good),
                Some(_) => panic!("nobody sends anything else"),
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        panic!("no answer within ten seconds");
    }

    #[test]
    fn a_good_check_is_remembered_until_the_hash_changes() {
        let generated = crate::password::generate().expect("randomness");
        let hash = crate::password::hash_generated(&generated).expect("a hash");
        let other = crate::password::hash_generated("another").expect("a hash");
        let right = Secret(generated.into_bytes());
        let (pool, inbox) = (Pool::start(1).expect("a thread"), Inbox::new().expect("a bell"));
        let verifier = pool.verifier();
        let ask = |hash: &str, password: &Secret, ticket| {
            verifier.ask(hash.to_owned(), password.clone(), Ticket(ticket), &inbox)
        };
        assert_eq!(ask(&hash, &Secret(b"wrong".to_vec()), 1), Asked::Queued);
        assert_eq!(answer(&inbox), (Ticket(1), false));
        assert_eq!(ask(&hash, &right, 2), Asked::Queued);
        assert_eq!(answer(&inbox), (Ticket(2), true));
        assert_eq!(ask(&hash, &right, 3), Asked::Good);
        assert_eq!(ask(&hash, &Secret(b"wrong".to_vec()), 4), Asked::Queued);
        assert_eq!(answer(&inbox), (Ticket(4), false));
        assert_eq!(ask(&other, &right, 5), Asked::Queued);
        assert_eq!(answer(&inbox), (Ticket(5), false));
    }

    #[test]
    fn memory_is_bounded_in_time_and_number() {
        let (mut known, start) = (Known::default(), Instant::now());
        for key in 0..VERIFY_CACHE_ENTRIES_MAX as u128 + 10 {
            known.remember(key, start);
        }
        assert_eq!(known.keys.len(), VERIFY_CACHE_ENTRIES_MAX);
        assert!(!known.contains(9, start));
        assert!(known.contains(10, start));
        assert!(!known.contains(10, start + Duration::from_millis(VERIFY_CACHE_MS)));
        assert!(known.order.is_empty());
    }

    #[test]
    fn a_full_queue_says_so() {
        let (pool, inbox) = (Pool::start(1).expect("a thread"), Inbox::new().expect("a bell"));
        let slow = crate::proto::UNKNOWN_ACCOUNT_HASH;
        let asked = (0..VERIFY_QUEUE_MAX as u64 + 16)
            .map(|n| pool.verifier().ask(slow.to_owned(), Secret(vec![1]), Ticket(n), &inbox))
            .filter(|asked| *asked == Asked::Full)
            .count();
        assert!(asked > 0);
    }
}
