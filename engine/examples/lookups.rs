//! What it costs to find a body in a pack: `cargo run --release -p ringpost-engine --example lookups`.
//!
//! *Owns*: look-ups at random among many packs whose tables are in memory. *Promises*: the store's own code.
//! *Assumes*: an idle machine. *Never*: reads a disk: a page that is not in memory is the disk's affair, off the core.

use std::hint::black_box;
use std::time::Instant;

use ringpost_engine::testing::packs::Packs;

/// Bodies in each pack.
const BODIES: u64 = 2_000;
/// Look-ups that are measured together.
const TURNS: u64 = 1_000_000;

fn measured(what: &str, packs: &Packs, mut work: impl FnMut(&Packs, u64) -> bool) {
    let (begin, mut at, mut found) = (Instant::now(), 1u64, 0u64);
    for _ in 0..TURNS {
        at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        found += u64::from(work(packs, black_box(at >> 20)));
    }
    println!("  {what}: {} ns, {found} found", begin.elapsed().as_nanos() / u128::from(TURNS));
}

fn main() {
    for count in [1, 10, 100, 1_000] {
        let packs = Packs::new(count, BODIES);
        println!(
            "{count} packs of {BODIES} bodies, {} bytes of fences in memory",
            count * BODIES.div_ceil(128) * 16
        );
        measured("the page is named", &packs, Packs::page);
        measured("the body is found in it", &packs, Packs::find);
    }
}
