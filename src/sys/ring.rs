//! A bounded queue from many threads to one, without locks.
//!
//! *Owns*: the slots and the two positions. *Promises*: what one thread pushes arrives in its order, once; a
//! full ring hands the value back; a sleeping consumer is woken by the first push after it fell asleep.
//! *Assumes*: one thread at a time calls the consumer's functions. *Never*: waits, makes a system call.
//!
//! ```text
//!            head (consumer)          tail (producers, by compare-exchange)
//!              ▼                        ▼
//!   ┌────┬────┬────┬────┬────┬────┬────┬────┐   a slot is null (free) or points to a value;
//!   │    │    │ v3 │ v4 │null│ v6 │    │    │   a claimed slot that is still null (v5) ends
//!   └────┴────┴────┴────┴────┴────┴────┴────┘   the consumer's look: its producer will wake it
//! ```

use super::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

/// The queue. `slots.len()` values fit.
pub struct Ring<T> {
    slots: Box<[AtomicPtr<T>]>,
    /// The next position to take; written by the consumer only.
    head: AtomicUsize,
    /// The next position to claim.
    tail: AtomicUsize,
    /// Whether the consumer waits to be woken.
    asleep: AtomicBool,
}

// SAFETY: values only change hands through atomics, each to exactly one owner.
unsafe impl<T: Send> Send for Ring<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Ring<T> {}

/// What a push did.
#[derive(Debug, PartialEq, Eq)]
pub enum Pushed<T> {
    /// It is in.
    In,
    /// It is in, and the consumer sleeps: wake it.
    Wake,
    /// No room: here it is again.
    Full(Box<T>),
}

impl<T> Ring<T> {
    /// An empty ring with room for `room` values (at least one).
    pub fn new(room: usize) -> Ring<T> {
        let slots = (0..room.max(1)).map(|_| AtomicPtr::new(std::ptr::null_mut())).collect();
        Ring { slots, head: AtomicUsize::new(0), tail: AtomicUsize::new(0), asleep: AtomicBool::new(false) }
    }

    /// Puts a value in, from any thread.
    pub fn push(&self, value: Box<T>) -> Pushed<T> {
        let mut tail = self.tail.load(Ordering::Relaxed);
        loop {
            // The Acquire pairs with the Release in `pop`: a position below `head` has a null slot again.
            if tail.wrapping_sub(self.head.load(Ordering::Acquire)) as isize >= self.slots.len() as isize {
                return Pushed::Full(value);
            }
            match self.tail.compare_exchange_weak(
                tail,
                tail.wrapping_add(1),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(now) => tail = now,
            }
        }
        // Release: the consumer that sees the pointer sees the value.
        self.slots[tail % self.slots.len()].store(Box::into_raw(value), Ordering::Release);
        // Exchanges of one flag have one order: either the consumer falls asleep before this one, and this
        // one sees it; or after it, and then its Acquire sees the slot filled.
        if self.asleep.swap(false, Ordering::AcqRel) { Pushed::Wake } else { Pushed::In }
    }

    /// Takes the oldest value. Consumer only.
    pub fn pop(&self) -> Option<Box<T>> {
        let head = self.head.load(Ordering::Relaxed);
        let slot = &self.slots[head % self.slots.len()];
        if slot.load(Ordering::Relaxed).is_null() {
            return None;
        }
        // An exchange, so that not even two consumers could both get a pointer (they would lose the order).
        let value = slot.swap(std::ptr::null_mut(), Ordering::Acquire);
        if value.is_null() {
            return None;
        }
        // The Release tells the next producer of this slot that it is null again.
        self.head.store(head.wrapping_add(1), Ordering::Release);
        // SAFETY: the pointer came from `Box::into_raw` in `push`, and the exchange above gave it to us alone.
        Some(unsafe { Box::from_raw(value) })
    }

    /// Announces that the consumer is about to wait. Consumer only; then it takes once more, and waits only
    /// if there is nothing: every later push says [`Pushed::Wake`] once.
    pub fn fall_asleep(&self) {
        self.asleep.swap(true, Ordering::AcqRel);
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}
