//! Seeded crashes of the store: a workload, a disk that fails, and an oracle that forgets nothing.
//!
//! `RINGPOST_SIM_SEEDS=n` runs n seeds (300 by default), from `RINGPOST_SIM_FROM` on; `RINGPOST_SIM_SEED=n`
//! repeats one.

mod arrivals;
mod decay;
mod pack;
mod rot;
mod scrub;
mod shown;
mod swarm;
mod tally;
mod weather;
mod workload;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use ringpost_engine::testing::Plant;
use tally::Tally;

/// Seeds of a run without the variable.
const SEEDS_DEFAULT: u64 = 300;
/// Failures that a thread tells.
const FAILURES_TOLD_MAX: usize = 20;
/// Within how many seeds a planted bug must be found.
const PLANT_SEEDS_MAX: u64 = 200;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// Runs one seed; what went wrong, or the fingerprint of all that happened and how often what did.
fn run(seed: u64, plant: Option<Plant>) -> Result<(u64, Tally), String> {
    let ran = catch_unwind(AssertUnwindSafe(|| world::run(seed, plant)));
    ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(|&s| s.to_owned())).unwrap_or_default())
    })
}

#[test]
fn nothing_acknowledged_is_ever_lost() {
    let seeds = match number("RINGPOST_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let from = number("RINGPOST_SIM_FROM").unwrap_or(0);
            from..from + number("RINGPOST_SIM_SEEDS").unwrap_or(SEEDS_DEFAULT)
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let work = &|thread: u64| -> (Tally, Vec<String>) {
        let (mut tally, mut failed) = (Tally::default(), Vec::new());
        for seed in seeds.clone().filter(|seed| seed % threads == thread) {
            match run(seed, None) {
                Ok((_, counts)) => tally.add(&counts),
                Err(why) => {
                    eprintln!("RINGPOST_SIM_SEED={seed}: {why}");
                    failed.push(format!("RINGPOST_SIM_SEED={seed}"));
                }
            }
            if failed.len() == FAILURES_TOLD_MAX {
                break;
            }
        }
        (tally, failed)
    };
    let (mut tally, mut failures) = (Tally::default(), Vec::new());
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        for handle in handles {
            let (counts, failed) = handle.join().expect("a thread that catches");
            tally.add(&counts);
            failures.extend(failed);
        }
    });
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    let seeds = seeds.end - seeds.start;
    println!("{seeds} seeds: {tally}");
    let missing = tally.missing(seeds);
    assert!(seeds < SEEDS_DEFAULT || missing.is_empty(), "never happened: {missing:?}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..20 {
        assert_eq!(run(seed, None), run(seed, None), "seed {seed}");
    }
}

fn is_found(plant: Plant) {
    is_found_as(plant, "");
}

/// Some seed must fail, and say so in these words.
fn is_found_as(plant: Plant, words: &str) {
    let fails = |seed| run(seed, Some(plant)).err().filter(|why| why.contains(words)).map(|why| (seed, why));
    let found = (0..PLANT_SEEDS_MAX).find_map(fails);
    let (seed, why) = found.unwrap_or_else(|| panic!("{plant:?} was not found in {PLANT_SEEDS_MAX} seeds"));
    println!("planted {plant:?}: found by seed {seed}: {why}");
}

#[test]
fn a_skipped_sync_is_found() {
    is_found(Plant::SkipSync);
}

#[test]
fn an_early_acknowledgement_is_found() {
    is_found(Plant::EarlyAck);
}

#[test]
fn a_trusted_checkpoint_is_found() {
    is_found(Plant::TrustCheckpoints);
}

#[test]
fn uids_given_out_again_after_a_cold_load_are_found() {
    is_found(Plant::ReuseUids);
}

#[test]
fn a_dropped_record_is_found() {
    is_found(Plant::DropRecord);
}

#[test]
fn a_file_removed_before_checkpoints_cover_it_is_found() {
    is_found(Plant::UnlinkEarly);
}

#[test]
fn a_lost_relocation_is_found() {
    is_found(Plant::LosePack);
}

#[test]
fn a_lost_piece_of_an_account_that_arrives_is_found() {
    // Not by the replay, which loses nothing: by what the account was where it came from.
    is_found_as(Plant::LosePiece, " arrived: ");
}

#[test]
fn an_account_that_is_seen_before_its_last_piece_is_found() {
    is_found_as(Plant::ShowArrivals, "is seen on its way");
}
