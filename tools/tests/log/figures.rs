//! `stats`: what it counts is what is there.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Host, json, of_type, run, text};

fn count(histogram: &Value) -> u64 {
    let buckets = histogram["histogram"]["buckets"].as_array().expect("buckets");
    buckets.iter().filter_map(|bucket| bucket["count"].as_u64()).sum()
}

#[test]
fn stats_add_up_and_are_drawn() {
    let data = TempDir::new().expect("a folder can be made");
    let mut host = Host::open(data.path(), 0);
    let alice = host.account("alice@example.test");
    for size in [10, 100, 1_000, 10_000, 60_000, 60_000, 60_000, 60_000, 60_000] {
        host.deliver(alice, &vec![b'x'; size]);
    }
    let mut other = Host::open(data.path(), 1);
    let bob = other.account("bob@example.test");
    other.deliver(bob, b"hello\r\n");
    let picture = data.path().join("stats.svg");
    let plot = ["stats", "--plot", picture.to_str().expect("text")];
    let objects = json(data.path(), &plot);
    let totals = of_type(&objects, "stats")[0];
    assert_eq!((&totals["messages"], &totals["holes"]), (&10.into(), &0.into()));
    let histograms = of_type(&objects, "histogram");
    assert_eq!(histograms.len(), 4);
    assert_eq!((count(histograms[0]), count(histograms[1])), (10, 10));
    let large = &histograms[0]["histogram"]["buckets"].as_array().expect("buckets").last().cloned();
    assert_eq!(large.as_ref().map(|bucket| bucket["count"].clone()), Some(5.into()));
    let batches =
        totals["batches"].as_u64().expect("a number") - totals["empty_batches"].as_u64().expect("one");
    assert_eq!((count(histograms[2]), count(histograms[3])), (batches, batches));
    let kind = |name: &str| {
        let found = objects.iter().find(|object| object["kind"] == name).cloned();
        found.and_then(|object| object["records"].as_u64())
    };
    assert_eq!((kind("Body"), kind("Deliver"), kind("AccountCreate")), (Some(10), Some(10), Some(2)));
    // Positions, padding included, add up to what the log takes.
    let verified = json(data.path(), &["verify"]);
    let bytes: u64 = of_type(&verified, "verify").iter().filter_map(|one| one["bytes"].as_u64()).sum();
    assert_eq!(totals["bytes"], bytes);
    let padded = bytes + totals["padding_bytes"].as_u64().expect("a number");
    assert!(padded.is_multiple_of(4096) && padded > bytes);
    let svg = fs::read_to_string(&picture).expect("it was drawn");
    assert!(svg.starts_with("<svg ") && svg.contains("Records per batch") && svg.contains("octets"));
    let again = run(data.path(), &plot);
    assert_eq!(again.status.code(), Some(3), "a file that is there stays");
    assert!(text(data.path(), &["stats"]).contains("Sizes of messages: 10 messages, half of them at most"));
}
