//! `ringpost-log stats`: what the log is made of.
//!
//! *Owns*: the counting and the tables. *Promises*: every batch that can be read is counted once. *Assumes*: nothing
//! of the bytes. *Never*: says what is damaged beyond how often; that is `verify`.

mod histogram;
mod svg;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::ops::AddAssign;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use ringpost_engine::codec;
use ringpost_engine::compact::survey::PackRecord;
use ringpost_engine::ids::Lsn;
use ringpost_engine::log::chain::Chain;
use ringpost_engine::log::record::{KIND_BODY, KIND_WITNESS};
use ringpost_engine::log::scan::{BatchInfo, RecordInfo};
use serde_json::json;

use crate::cli::{self, Cli};
use crate::data::{self, Shard};
use crate::disk::ReadOnlyDisk;
use crate::history;
use crate::output::{Output, progress};
use crate::prove::jobs;
use crate::prove::packs::{self, PackTally, PacksWalked};
use crate::prove::walk::{Tally, Walked, walk};
use crate::{Damages, Failure, describe};
use histogram::Histogram;
use svg::{Chart, draw, short};

const HOUR_MS: u64 = 3_600_000;

/// Counts what is in the shards that were asked for.
pub fn run(cli: &Cli, what: &cli::Stats, output: &mut Output) -> Result<Damages, Failure> {
    let shards = data::shards(&cli.data, cli.only()?)?;
    let bytes: u64 = shards.iter().map(|shard| ReadOnlyDisk::quiet(&shard.folder).bytes()).sum();
    let bar = progress(bytes, "counting", false);
    let mut all = Walked::<Figures>::default();
    let (mut damages, mut packs) = (0, Packs::default());
    for shard in &shards {
        match chain(shard) {
            Ok(chain) => {
                add(&mut all, walk(&shard.folder, &chain, jobs(what.jobs), &bar));
                match packs::walk(&shard.folder, &chain, jobs(what.jobs), &bar) {
                    Ok(walked) => {
                        damages += walked.damaged;
                        walked.damages.iter().for_each(|damage| damage.tell(shard, output));
                        packs.add(walked, &chain, &mut all.tally);
                    }
                    Err(failure) => {
                        output.unreadable(shard, &failure);
                        damages += 1;
                    }
                }
            }
            Err(failure) => {
                output.unreadable(shard, &failure);
                damages += 1;
            }
        }
    }
    bar.finish_and_clear();
    damages += all.unread.len() as u64;
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    let ages = all.tally.ages(now_ms);
    let title = format!("{} in {} segments", cli.data.display(), all.segments);
    let charts = charts(&all.tally, &ages);
    if let Some(path) = &what.plot {
        write_new(path, draw(&title, &charts).as_bytes())?;
    }
    totals(&all, &packs, output);
    charts.iter().for_each(|chart| table(chart, output));
    kinds(&all.tally, output);
    Ok(damages)
}

fn chain(shard: &Shard) -> Result<Chain, Failure> {
    Chain::read(&mut ReadOnlyDisk::quiet(&shard.folder), shard.id).map_err(|error| error.to_string())
}

fn add(all: &mut Walked<Figures>, more: Walked<Figures>) {
    all.tally += more.tally;
    all.segments += more.segments;
    all.batches += more.batches;
    all.bytes += more.bytes;
    all.padded += more.padded;
    all.holes += more.holes;
    all.unread.extend(more.unread);
}

/// Writes a file that is not there yet.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let written = File::create_new(path).and_then(|mut file| file.write_all(bytes));
    written.map_err(|error| format!("{}: {error}; name a file that is not there yet", path.display()))
}

/// What packs have that no segment has any more. When it was stored is gone with the segments.
#[derive(Debug, Default)]
struct Packs {
    files: u64,
    bytes: u64,
    bodies: u64,
}

impl Packs {
    fn add(&mut self, walked: PacksWalked<Packed>, chain: &Chain, figures: &mut Figures) {
        self.files += walked.packs;
        self.bytes += walked.bytes;
        // Two packs may have a body while one waits to be removed.
        let bodies: BTreeMap<u64, (u32, u32)> = walked.tally.0.into_iter().collect();
        for (_, (octets, summary)) in bodies.into_iter().filter(|(at, _)| !history::has(chain, Lsn(*at))) {
            self.bodies += 1;
            figures.sizes.add(u64::from(octets), 1);
            figures.summary_bytes += u64::from(summary);
            let (count, bytes) = figures.kinds.entry("Body").or_default();
            (*count, *bytes) = (*count + 1, *bytes + u64::from(octets) + u64::from(summary));
        }
    }
}

/// Positions of bodies, with the bytes of their octets and summaries.
#[derive(Debug, Default)]
struct Packed(Vec<(u64, (u32, u32))>);

impl AddAssign for Packed {
    fn add_assign(&mut self, other: Packed) {
        self.0.extend(other.0);
    }
}

impl PackTally for Packed {
    fn packed(&mut self, record: &PackRecord, _payload: &[u8]) {
        let meta = &record.meta;
        self.0.push((record.lsn.0, (meta.len - meta.summary_len, meta.summary_len)));
    }
}

/// What the records are.
#[derive(Debug, Default)]
struct Figures {
    sizes: Histogram,
    batch_bytes: Histogram,
    batch_records: Histogram,
    /// Batches that hold nothing but the witness.
    empty: u64,
    /// Messages by the hour that they were stored in.
    hours: BTreeMap<u64, u64>,
    /// Records and bytes of their payloads by kind.
    kinds: BTreeMap<&'static str, (u64, u64)>,
    /// Bytes of summaries, which are in front of bodies.
    summary_bytes: u64,
    batch_ms: u64,
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Figures) {
        self.sizes += other.sizes;
        self.batch_bytes += other.batch_bytes;
        self.batch_records += other.batch_records;
        self.empty += other.empty;
        other.hours.into_iter().for_each(|(hour, count)| *self.hours.entry(hour).or_default() += count);
        for (kind, (count, bytes)) in other.kinds {
            let own = self.kinds.entry(kind).or_default();
            (own.0, own.1) = (own.0 + count, own.1 + bytes);
        }
        self.summary_bytes += other.summary_bytes;
    }
}

impl Figures {
    /// Hours since messages were stored.
    fn ages(&self, now_ms: u64) -> Histogram {
        let mut ages = Histogram::default();
        let now = now_ms / HOUR_MS;
        self.hours.iter().for_each(|(hour, count)| ages.add(now.saturating_sub(*hour), *count));
        ages
    }
}

impl Tally for Figures {
    fn batch(&mut self, batch: &BatchInfo) {
        self.batch_ms = batch.meta.time_ms;
        // The witness is nobody's record.
        let records = u64::from(batch.meta.records).saturating_sub(1);
        if records == 0 {
            self.empty += 1;
        } else {
            self.batch_bytes.add(batch.meta.bytes(), 1);
            self.batch_records.add(records, 1);
        }
    }

    fn record(&mut self, record: &RecordInfo, payload: &[u8]) {
        let meta = &record.meta;
        let kind = match meta.kind {
            KIND_BODY => {
                self.sizes.add(u64::from(meta.len - meta.summary_len), 1);
                self.summary_bytes += u64::from(meta.summary_len);
                *self.hours.entry(self.batch_ms / HOUR_MS).or_default() += 1;
                "Body"
            }
            KIND_WITNESS => "Witness",
            kind => codec::decode(kind, payload).map_or("unknown", |(change, _)| describe::kind(&change)),
        };
        let (count, bytes) = self.kinds.entry(kind).or_default();
        (*count, *bytes) = (*count + 1, *bytes + u64::from(meta.len));
    }
}

fn charts<'a>(figures: &'a Figures, ages: &'a Histogram) -> [Chart<'a>; 4] {
    [
        Chart {
            title: "Sizes of messages",
            x: "octets",
            y: "messages",
            histogram: &figures.sizes,
            value: binary,
        },
        Chart { title: "Ages of messages", x: "since stored", y: "messages", histogram: ages, value: hours },
        Chart {
            title: "Sizes of batches",
            x: "bytes, without padding",
            y: "batches",
            histogram: &figures.batch_bytes,
            value: binary,
        },
        Chart {
            title: "Records per batch",
            x: "records, without the witness",
            y: "batches",
            histogram: &figures.batch_records,
            value: short,
        },
    ]
}

/// Bytes in powers of 1,024.
fn binary(bytes: u64) -> String {
    let bytes_or_more = |shift: u32| bytes >> shift;
    match bytes {
        0..1024 => bytes.to_string(),
        1024..0x10_0000 => format!("{}K", bytes_or_more(10)),
        0x10_0000..0x4000_0000 => format!("{}M", bytes_or_more(20)),
        _ => format!("{}G", bytes_or_more(30)),
    }
}

fn hours(hours: u64) -> String {
    match hours {
        0..48 => format!("{hours}h"),
        48..17_520 => format!("{}d", hours / 24),
        _ => format!("{}y", hours / 8_760),
    }
}

fn totals(all: &Walked<Figures>, packs: &Packs, output: &mut Output) {
    let (padding, empty) = (all.padded - all.bytes, all.tally.empty);
    let share = padding as f64 / all.padded.max(1) as f64;
    let object = json!({
        "type": "stats", "segments": all.segments, "batches": all.batches, "empty_batches": empty,
        "bytes": all.bytes, "padding_bytes": padding, "padding_share": share,
        "summary_bytes": all.tally.summary_bytes, "messages": all.tally.sizes.count(), "holes": all.holes,
        "unread_segments": all.unread.len(), "packs": packs.files, "pack_bytes": packs.bytes,
        "packed_messages": packs.bodies,
    });
    output.line(&object, || {
        let mut text = format!("segments  {}\n", all.segments);
        text += &format!("batches   {}, {empty} of them empty\n", all.batches);
        text += &format!("bytes     {}, and {padding} of padding ({:.1} %)\n", all.bytes, share * 100.0);
        let (messages, summaries) = (all.tally.sizes.count(), all.tally.summary_bytes);
        text += &format!("messages  {messages}, with {summaries} bytes of summaries");
        if packs.files > 0 {
            let Packs { files, bytes, bodies } = packs;
            text += &format!(
                "\npacks     {files}, {bytes} bytes, with {bodies} messages of segments that are gone"
            );
        }
        if all.holes > 0 {
            text += &format!("\nnot all of it can be read ({} gaps): see verify", all.holes);
        }
        text
    });
}

/// A histogram as a table with bars.
fn table(chart: &Chart<'_>, output: &mut Output) {
    const BAR_COLUMNS: u64 = 40;
    let histogram = chart.histogram;
    let object = json!({
        "type": "histogram", "of": chart.title, "unit": chart.x, "counts": chart.y,
        "histogram": histogram.json(),
    });
    output.line(&object, || {
        let middle = (chart.value)(histogram.quantile(0.5));
        let mut text =
            format!("\n{}: {} {}, half of them at most {middle}", chart.title, histogram.count(), chart.y);
        let buckets = histogram.buckets();
        let most = buckets.iter().map(|bucket| bucket.count).max().unwrap_or(1).max(1);
        for bucket in buckets {
            let share = bucket.count as f64 / histogram.count().max(1) as f64 * 100.0;
            let bar = "#".repeat((bucket.count * BAR_COLUMNS).div_ceil(most) as usize);
            let range = format!("{} … {}", (chart.value)(bucket.from), (chart.value)(bucket.to));
            text += &format!("\n  {range:>15} {:>12} {share:>5.1} % {bar}", bucket.count);
        }
        text
    });
}

fn kinds(figures: &Figures, output: &mut Output) {
    output.heading("\nKinds of records");
    for (kind, (count, bytes)) in &figures.kinds {
        let object = json!({"type": "kind", "kind": kind, "records": count, "bytes": bytes});
        output.line(&object, || format!("  {kind:<15} {count:>12} {bytes:>16} bytes"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_short() {
        let bytes: Vec<String> = [0, 1023, 1024, 1 << 20, (1 << 30) - 1, 1 << 40].map(binary).into();
        assert_eq!(bytes, ["0", "1023", "1K", "1M", "1023M", "1024G"]);
        let ages: Vec<String> = [0, 47, 48, 17_519, 17_520].map(hours).into();
        assert_eq!(ages, ["0h", "47h", "2d", "729d", "2y"]);
    }
}
