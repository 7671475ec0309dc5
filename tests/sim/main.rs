//! The whole server in one thread: shards, disks, network, clients, crashes, by seeds.
//!
//! Read `world` (what happens), `faults` (what goes wrong), `workload` and `clients` (who asks for what),
//! `oracle` (what must be true).

mod admin;
mod checks;
mod clients;
mod faults;
mod life;
mod net;
mod oracle;
mod rot;
mod seeds;
mod trace;
mod workload;
mod world;

use std::collections::BTreeMap;

use ringpost_engine::testing::Plant;
use trace::Trace;
use world::{Bug, World};

/// Seeds of a plain `cargo test`.
const SEEDS: u64 = 30;
/// Seeds within which a planted bug must be found.
const BUG_SEEDS: u64 = 100;
/// What all of them come to.
const LOST: &str = "an acknowledged message is lost";
/// What some run must have done: a simulation that does nothing proves nothing.
const DONE: [&str; 19] = [
    "taken",
    "removed",
    "copied",
    "flagged",
    "views",
    "power cuts",
    "restarts",
    "sessions_moved",
    "accounts deleted",
    "aliases changed",
    "rotten octets",
    "accounts quarantined",
    "mailboxes created",
    "mailboxes renamed",
    "mailboxes deleted",
    "inboxes renamed",
    "subscriptions changed",
    "turns",
    "turns refused",
];

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_invented() {
    let (seeds, loud) = seeds::chosen(SEEDS);
    let (mut runs, mut counts, mut failed) = (0, BTreeMap::new(), Vec::new());
    for seed in seeds {
        let (result, trace) = World::run(seed, None, 0, Trace::new(loud));
        match result {
            Ok(report) => {
                runs += 1;
                for (kind, count) in report.counts {
                    *counts.entry(kind).or_insert(0) += count;
                }
            }
            Err(why) => {
                println!("seed {seed}: {why}\n{}", trace.last_lines());
                failed.push((seed, why));
            }
        }
    }
    println!("{runs} seeds: {counts:?}");
    assert!(failed.is_empty(), "repeat one with RINGPOST_SIM_SEED=n: {failed:#?}");
    for kind in DONE {
        assert!(loud || counts.get(kind).is_some_and(|count| *count > 0), "no run did this: {kind}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [1, 2, 3] {
        let run = || World::run(seed, None, 0, Trace::new(false));
        let ((first, _), (second, _)) = (run(), run());
        assert_eq!(first, second, "seed {seed}");
    }
}

/// Some seed must fail with the bug that passes without it, and some such seed in these words.
fn is_caught(bug: Bug, words: &str) {
    let run = |seed, bug| World::run(seed, bug, 3, Trace::new(false)).0;
    let mut first = None;
    for seed in 0..BUG_SEEDS {
        let Err(why) = run(seed, Some(bug)) else { continue };
        if first.is_some() && !why.contains(words) || run(seed, None).is_err() {
            continue;
        }
        if first.is_none() {
            println!("{bug:?} is caught by seed {seed}: {why}");
            first = Some(seed);
        }
        if why.contains(words) {
            return println!("{bug:?} is told as what it is by seed {seed}: {why}");
        }
    }
    panic!("{bug:?} is not told as {words:?} within {BUG_SEEDS} seeds, but caught by {first:?}");
}

#[test]
fn an_early_250_is_caught() {
    is_caught(Bug::EarlyReply, LOST);
}

#[test]
fn a_skipped_sync_is_caught() {
    is_caught(Bug::Engine(Plant::SkipSync), LOST);
}

#[test]
fn a_dropped_record_is_caught() {
    is_caught(Bug::Engine(Plant::DropRecord), LOST);
}
