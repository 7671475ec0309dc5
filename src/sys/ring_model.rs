//! Model check of [`super::ring`]: the same source on loom's atomics, every interleaving within loom's
//! bounds.
//!
//! *Owns*: nothing at run time. *Promises*: fails if a value is lost, doubled, out of order, or a sleeper
//! not woken.
//! *Assumes*: the ring takes its atomics from `super::atomic`. *Never*: part of the server.
//! Run alone: `cargo test -p ringpost --lib sys::ring_model`.

mod atomic {
    pub(super) use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
}
#[expect(clippy::duplicate_mod, reason = "the same source, once on real atomics and once on modelled ones")]
#[path = "ring.rs"]
mod ring;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::Notify;
use ring::{Pushed, Ring};

/// A value whose contents loom watches: reading them without having seen the write is an error.
#[derive(Debug)]
struct Value(UnsafeCell<(u32, u32)>);

impl Value {
    fn new(producer: u32, number: u32) -> Box<Value> {
        let value = Value(UnsafeCell::new((0, 0)));
        // SAFETY: nobody else has it yet.
        value.0.with_mut(|contents| unsafe { *contents = (producer, number) });
        Box::new(value)
    }
    fn get(&self) -> (u32, u32) {
        // SAFETY: only its owner reads it; loom checks that the write came before.
        self.0.with(|contents| unsafe { *contents })
    }
}

/// Checks that each producer's numbers come in order, once.
struct Order(Vec<u32>);

impl Order {
    fn take(&mut self, (producer, number): (u32, u32)) {
        assert_eq!(self.0[producer as usize], number, "each producer's values come in order, once");
        self.0[producer as usize] += 1;
    }
    fn taken(&self) -> u32 {
        self.0.iter().sum()
    }
}

/// `producers` threads push `each` values into a ring with room for all; the consumer sleeps when there is
/// nothing.
fn nothing_lost_and_no_sleeper_forgotten(producers: u32, each: u32) {
    let ring = Arc::new(Ring::<Value>::new((producers * each) as usize));
    let bell = Arc::new(Notify::new());
    for producer in 0..producers {
        let (ring, bell) = (ring.clone(), bell.clone());
        loom::thread::spawn(move || {
            for number in 0..each {
                match ring.push(Value::new(producer, number)) {
                    Pushed::In => {}
                    Pushed::Wake => bell.notify(),
                    Pushed::Full(_) => unreachable!("there is room for all"),
                }
            }
        });
    }
    let mut order = Order(vec![0; producers as usize]);
    while order.taken() < producers * each {
        if let Some(value) = ring.pop() {
            order.take(value.get());
            continue;
        }
        ring.fall_asleep();
        match ring.pop() {
            Some(value) => order.take(value.get()),
            None => bell.wait(),
        }
    }
    assert!(ring.pop().is_none());
}

/// Two threads push two values each into a ring of `room`; what did not fit came back, all else arrives.
fn full_hands_back(room: usize) {
    let ring = Arc::new(Ring::<Value>::new(room));
    let threads: Vec<_> = (0..2)
        .map(|producer| {
            let ring = ring.clone();
            loom::thread::spawn(move || {
                let mut number = 0;
                for _ in 0..2 {
                    match ring.push(Value::new(producer, number)) {
                        Pushed::In | Pushed::Wake => number += 1,
                        Pushed::Full(again) => assert_eq!(again.get(), (producer, number)),
                    }
                }
                number
            })
        })
        .collect();
    let mut order = Order(vec![0; 2]);
    if let Some(value) = ring.pop() {
        order.take(value.get());
    }
    let accepted: u32 = threads.into_iter().map(|thread| thread.join().expect("a producer")).sum();
    while let Some(value) = ring.pop() {
        order.take(value.get());
    }
    assert_eq!(order.taken(), accepted);
    assert!(accepted >= room as u32);
}

/// Every interleaving with at most this many preemptions.
fn check(preemptions: usize, run: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(run);
}

#[test]
fn one_producer() {
    check(3, || nothing_lost_and_no_sleeper_forgotten(1, 2));
}

#[test]
fn two_producers() {
    check(3, || nothing_lost_and_no_sleeper_forgotten(2, 1));
}

#[test]
fn two_producers_that_find_it_full() {
    check(3, || full_hands_back(1));
}
