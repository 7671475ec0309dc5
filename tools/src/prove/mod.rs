//! `ringpost-log verify`: reads everything that was ever written and builds the mail store from it.
//!
//! *Owns*: the passes: over the bytes, all segments at once; over their meaning, all shards at once. *Promises*: exit
//! code 0 means that every checksum, every record and every message's body was read and found good. *Assumes*:
//! nothing. *Never*: repairs.
//!
//! ```text
//!  walk (all cores) ─► holes? ── yes: scan, which tells damage from a torn tail ─┐
//!                        └──────────────────────────────────────────────────────┴─► replay ─► references
//! ```

mod backup;
mod meaning;
pub mod packs;
pub mod walk;

use std::ops::AddAssign;
use std::thread;
use std::time::Instant;

use indicatif::ProgressBar;
use ringpost_engine::codec;
use ringpost_engine::compact::survey::PackRecord;
use ringpost_engine::layout::SummaryView;
use ringpost_engine::log::chain::Chain;
use ringpost_engine::log::record::{KIND_BODY, KIND_WITNESS};
use ringpost_engine::log::scan::{self, BatchInfo, Damage, RecordInfo, SegmentInfo, Visitor};
use serde_json::json;

use crate::cli::{self, Cli};
use crate::data::{self, Shard};
use crate::disk::ReadOnlyDisk;
use crate::history::{self, PackDamage};
use crate::output::{Output, moment, name, number, progress};
use crate::{Damages, Failure};
use backup::Backup;
use meaning::Meaning;
use packs::{PackTally, PacksWalked};
use walk::{Tally, Walked, walk};

/// Places of a kind that are told one by one.
const FAULTS_TOLD_MAX: usize = 1_000;

/// How many threads, if nobody says.
pub fn jobs(asked: Option<usize>) -> usize {
    asked.unwrap_or_else(|| thread::available_parallelism().map_or(1, std::num::NonZero::get))
}

/// Verifies the shards that were asked for.
pub fn run(cli: &Cli, what: &cli::Verify, output: &mut Output) -> Result<Damages, Failure> {
    let folder = what.folder.as_ref().unwrap_or(&cli.data);
    let shards = data::shards(folder, cli.only()?)?;
    let (backup, mut damages) = Backup::read(folder, cli.only()?, output)?;
    let bytes: u64 = shards.iter().map(|shard| ReadOnlyDisk::quiet(&shard.folder).bytes()).sum();
    let bar = progress(bytes * 2, "verifying", true);
    let began = Instant::now();
    let mut read = Vec::new();
    for shard in &shards {
        match sums(shard, jobs(what.jobs), &bar, output) {
            Ok(mut sums) => {
                sums.damages += backup.end(shard, sums.walked.end, output);
                damages += sums.damages;
                read.push((shard, sums));
            }
            Err(failure) => {
                output.unreadable(shard, &failure);
                damages += 1;
            }
        }
    }
    let sums_ms = began.elapsed().as_millis() as u64;
    for batch in read.chunks(jobs(what.jobs)) {
        let meanings: Vec<Result<Meaning, Failure>> = thread::scope(|scope| {
            let ends = batch.iter().map(|(shard, sums)| (shard, sums.walked.end));
            let bar = &bar;
            let threads: Vec<_> =
                ends.map(|(shard, end)| scope.spawn(move || Meaning::of(shard, end, bar))).collect();
            let results = threads.into_iter().map(|thread| thread.join());
            results.map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        });
        for ((shard, sums), meaning) in batch.iter().zip(meanings) {
            damages += match meaning {
                Ok(meaning) => verdict(shard, sums, &meaning, output),
                Err(failure) => {
                    output.unreadable(shard, &failure);
                    1
                }
            };
        }
    }
    bar.finish_and_clear();
    let all_ms = began.elapsed().as_millis() as u64;
    let object = json!({"type": "pace", "bytes": bytes, "sums_ms": sums_ms, "all_ms": all_ms});
    output.line(&object, || {
        let pace = bytes / 1_000 / sums_ms.max(1);
        format!("read {bytes} bytes at {pace} MB/s; all of it took {:.1} s", all_ms as f64 / 1000.0)
    });
    Ok(damages)
}

/// Looks at every sum of these shards' logs, and tells what is damaged.
pub fn sums_of(shards: &[Shard], output: &mut Output) -> Result<Damages, Failure> {
    let bytes = shards.iter().map(|shard| ReadOnlyDisk::quiet(&shard.folder).bytes()).sum();
    let bar = progress(bytes, "looking at sums", true);
    let mut damages = 0;
    for shard in shards {
        damages += sums(shard, jobs(None), &bar, output)?.damages;
    }
    bar.finish_and_clear();
    Ok(damages)
}

/// What the bytes of a shard's log are.
struct Sums {
    walked: Walked<Check>,
    packs: PacksWalked<PackCheck>,
    /// From when on the log tells everything; none: from its beginning.
    whole_since_ms: Option<u64>,
    damages: Damages,
}

/// Reads every byte of a shard's log.
fn sums(shard: &Shard, jobs: usize, bar: &ProgressBar, output: &mut Output) -> Result<Sums, Failure> {
    let mut disk = ReadOnlyDisk::new(&shard.folder, ProgressBar::hidden());
    let chain = Chain::read(&mut disk, shard.id).map_err(|error| error.to_string())?;
    let walked: Walked<Check> = walk(&shard.folder, &chain, jobs, bar);
    let packs: PacksWalked<PackCheck> = packs::walk(&shard.folder, &chain, jobs, bar)?;
    packs.damages.iter().chain(&packs.tally.faults).for_each(|damage| damage.tell(shard, output));
    let mut damages = packs.damaged + packs.tally.faulty;
    for (segment, why) in &walked.unread {
        damages += 1;
        output.fault(shard, segment.0, 0, &format!("cannot be read {why}"));
    }
    for fault in &walked.tally.faults {
        output.fault(shard, fault.segment, fault.offset, &fault.what);
    }
    damages += walked.tally.faulty;
    if walked.holes > 0 {
        let mut tell = Tell { shard, output, damages: 0 };
        scan::scan(&mut disk, shard.id, &mut tell).map_err(|error| error.to_string())?;
        damages += tell.damages;
    }
    Ok(Sums { walked, packs, whole_since_ms: history::whole_since_ms(&chain), damages })
}

/// A shard's lines. Returns the damage that its meaning shows and its bytes did not.
fn verdict(shard: &Shard, sums: &Sums, meaning: &Meaning, output: &mut Output) -> Damages {
    let Sums { walked, packs, whole_since_ms, .. } = sums;
    // After damage to the bytes, this tells its consequences too.
    let consequences = if sums.damages > 0 { &[][..] } else { meaning.faults.as_slice() };
    consequences.iter().for_each(|(segment, offset, what)| output.fault(shard, *segment, *offset, what));
    meaning.missing.iter().for_each(|(lsn, what)| output.fault(shard, 0, *lsn, what));
    let mut more = meaning.missing_count;
    if sums.damages == 0 {
        more += meaning.faults.len() as u64 + meaning.untold;
    }
    let damages = sums.damages + more;
    let Check { records, bodies, .. } = walked.tally;
    let counts = meaning.counts;
    let object = json!({
        "type": "verify", "shard": number(shard), "sound": damages == 0, "segments": walked.segments,
        "batches": walked.batches, "records": records, "bodies": bodies, "bytes": walked.bytes,
        "torn_bytes": meaning.torn_bytes, "next": walked.end.0, "accounts": counts.accounts,
        "mailboxes": counts.mailboxes, "messages": counts.messages, "damages": damages,
        "quarantined": meaning.quarantined, "packs": packs.packs, "pack_bytes": packs.bytes,
        "packed_bodies": packs.tally.bodies, "whole_since": whole_since_ms.map(moment),
    });
    output.line(&object, || {
        let verdict = if damages == 0 { "sound".to_owned() } else { format!("DAMAGED in {damages} places") };
        let (segments, batches, bytes) = (walked.segments, walked.batches, walked.bytes);
        let mut text = format!("{}: {verdict}\n", name(shard));
        text += &format!("  segments {segments}, batches {batches}, bytes {bytes}\n");
        text += &format!("  records {records}, {bodies} of them bodies\n");
        let (accounts, mailboxes, messages) = (counts.accounts, counts.mailboxes, counts.messages);
        text += &format!("  accounts {accounts}, mailboxes {mailboxes}, messages {messages}\n");
        if packs.packs > 0 {
            let PacksWalked { packs, bytes, tally, .. } = packs;
            text += &format!("  packs {packs}, bytes {bytes}, {} bodies in them\n", tally.bodies);
        }
        if let Some(since_ms) = whole_since_ms {
            let since = moment(*since_ms);
            text += &format!(
                "  segments before {since} were let go by compaction: a checkpoint says what they said\n"
            );
        }
        text += &format!("  the log ends at {}", walked.end);
        if meaning.torn_bytes > 0 {
            text += &format!("\n  {} bytes behind it were never acknowledged", meaning.torn_bytes);
        }
        if !meaning.quarantined.is_empty() {
            text += &format!("\n  a server would not serve these accounts: {:?}", meaning.quarantined);
        }
        text
    });
    more
}

/// A record that is not what it should be, though its sum is right.
#[derive(Debug)]
struct Fault {
    segment: u64,
    offset: u64,
    what: String,
}

/// Looks at the form of every record.
#[derive(Debug, Default)]
struct Check {
    records: u64,
    bodies: u64,
    faulty: u64,
    /// The first of them.
    faults: Vec<Fault>,
}

impl AddAssign for Check {
    fn add_assign(&mut self, other: Check) {
        self.records += other.records;
        self.bodies += other.bodies;
        self.faulty += other.faulty;
        self.faults.extend(other.faults);
        self.faults.truncate(FAULTS_TOLD_MAX);
    }
}

impl Check {
    fn fault(&mut self, record: &RecordInfo, what: &str) {
        self.faulty += 1;
        if self.faults.len() < FAULTS_TOLD_MAX {
            let what = format!("{what}, account {}", record.meta.account);
            self.faults.push(Fault { segment: record.segment.0, offset: record.payload_offset, what });
        }
    }
}

impl Tally for Check {
    fn batch(&mut self, _batch: &BatchInfo) {}

    fn record(&mut self, record: &RecordInfo, payload: &[u8]) {
        match record.meta.kind {
            KIND_WITNESS => return,
            KIND_BODY => {
                self.bodies += 1;
                let summary = payload.get(..record.meta.summary_len as usize);
                if summary.and_then(SummaryView::new).is_none() {
                    self.fault(record, "the summary of a body is malformed");
                }
            }
            kind => {
                if codec::decode(kind, payload).is_none() {
                    self.fault(record, &format!("a record of unknown form, kind {kind}"));
                }
            }
        }
        self.records += 1;
    }
}

/// Looks at the form of every body in a pack.
#[derive(Debug, Default)]
struct PackCheck {
    bodies: u64,
    faulty: u64,
    /// The first of them.
    faults: Vec<PackDamage>,
}

impl AddAssign for PackCheck {
    fn add_assign(&mut self, other: PackCheck) {
        self.bodies += other.bodies;
        self.faulty += other.faulty;
        self.faults.extend(other.faults);
        self.faults.truncate(FAULTS_TOLD_MAX);
    }
}

impl PackTally for PackCheck {
    fn packed(&mut self, record: &PackRecord, payload: &[u8]) {
        self.bodies += 1;
        let summary = payload.get(..record.meta.summary_len as usize);
        if summary.and_then(SummaryView::new).is_some() {
            return;
        }
        self.faulty += 1;
        if self.faults.len() < FAULTS_TOLD_MAX {
            let what = format!("the summary of a body is malformed, account {}", record.meta.account);
            self.faults.push(PackDamage { pack: record.pack, offset: record.payload_offset, what });
        }
    }
}

/// Tells damage by the rule of recovery.
struct Tell<'a> {
    shard: &'a Shard,
    output: &'a mut Output,
    damages: Damages,
}

impl Visitor for Tell<'_> {
    fn segment(&mut self, _segment: &SegmentInfo) {}

    fn batch(&mut self, _batch: &BatchInfo) {}

    fn record(&mut self, _record: &RecordInfo, _payload: &[u8]) {}

    fn damage(&mut self, damage: &Damage) {
        self.damages += 1;
        self.output.damage(self.shard, damage);
    }
}
