//! `ringpost-log segments`: what files there are and what is in them.
//!
//! *Owns*: the table. *Promises*: a line for every segment file of the log and for every checkpoint. *Assumes*:
//! nothing. *Never*: looks at what changes mean, but for the live share.

use std::collections::BTreeMap;

use ringpost_engine::compact::survey::{self, PackInfo};
use ringpost_engine::ids::SegmentId;
use ringpost_engine::io::FileId;
use ringpost_engine::log::scan::{self, BatchInfo, Damage, End, RecordInfo, SegmentInfo, Visitor};
use ringpost_engine::recovery::{self, CheckpointInfo};
use serde_json::json;

use super::live;
use super::picture::{self, Bar};
use crate::cli::Cli;
use crate::data::Shard;
use crate::disk::ReadOnlyDisk;
use crate::history::{self, PackDamage};
use crate::output::{Output, moment, name, number, progress};
use crate::stats::write_new;
use crate::{Damages, Failure, cli};

/// Lists segments, packs and checkpoints of the shards that were asked for.
pub fn run(cli: &Cli, what: &cli::Segments, output: &mut Output) -> Result<Damages, Failure> {
    let mut rows = Vec::new();
    let damages = crate::each_shard(cli, output, |shard, output| list(shard, what, &mut rows, output))?;
    if let Some(path) = &what.plot {
        write_new(path, picture::draw(&rows).as_bytes())?;
    }
    Ok(damages)
}

fn list(
    shard: &Shard,
    what: &cli::Segments,
    rows: &mut Vec<(String, Vec<Bar>)>,
    output: &mut Output,
) -> Result<Damages, Failure> {
    let bytes = ReadOnlyDisk::quiet(&shard.folder).bytes();
    let bar = progress(bytes, "reading", false);
    let mut disk = ReadOnlyDisk::new(&shard.folder, bar.clone());
    let mut count = Count::default();
    let end = scan::scan(&mut disk, shard.id, &mut count).map_err(|error| error.to_string())?;
    let checkpoints = recovery::checkpoints(&mut disk).map_err(|error| error.to_string())?;
    let live = (what.live || what.plot.is_some())
        .then(|| recovery::recover_read_only(&mut disk, shard.id, Some(end.tail.end)));
    let live = live.transpose().map_err(|error| error.to_string())?.map(|replayed| live::bytes(&replayed));
    bar.finish_and_clear();
    print(shard, &count, &end, live.as_ref(), output);
    let (packs, unreadable) = survey::packs(&mut disk, &end.chain).map_err(|error| error.to_string())?;
    packs.iter().for_each(|pack| print_pack(shard, pack, live.as_ref(), output));
    if let Some(live) = &live {
        rows.push((name(shard), bars(&end, &packs, live)));
    }
    let nothing = |pack| PackDamage { pack, offset: 0, what: "nothing of it can be read".to_owned() };
    unreadable.iter().for_each(|&pack| nothing(pack).tell(shard, output));
    checkpoints.iter().for_each(|checkpoint| print_checkpoint(shard, checkpoint, output));
    count.damages.iter().for_each(|damage| output.damage(shard, damage));
    history::tell_gone(shard, &end.chain, output);
    Ok((count.damages.len() + unreadable.len()) as u64)
}

fn bars(end: &End, packs: &[PackInfo], live: &Live) -> Vec<Bar> {
    let bar = |file: FileId, from, bytes| {
        let live = live.get(&file).copied().unwrap_or(0);
        Bar { name: file.name(), from, bytes, live }
    };
    let segments = end.filled.iter().map(|part| bar(FileId::Segment(part.segment), part.base.0, part.end));
    segments
        .chain(packs.iter().map(|pack| bar(FileId::Pack(pack.number), pack.range.start, pack.bytes)))
        .collect()
}

#[derive(Default)]
struct Count {
    rows: Vec<Row>,
    damages: Vec<Damage>,
}

struct Row {
    info: SegmentInfo,
    batches: u64,
    records: u64,
    first_ms: Option<u64>,
    last_ms: Option<u64>,
}

impl Visitor for Count {
    fn segment(&mut self, segment: &SegmentInfo) {
        self.rows.push(Row { info: *segment, batches: 0, records: 0, first_ms: None, last_ms: None });
    }

    fn batch(&mut self, batch: &BatchInfo) {
        if let Some(row) = self.rows.last_mut() {
            row.batches += 1;
            row.first_ms.get_or_insert(batch.meta.time_ms);
            row.last_ms = Some(batch.meta.time_ms);
        }
    }

    fn record(&mut self, _record: &RecordInfo, _payload: &[u8]) {
        if let Some(row) = self.rows.last_mut() {
            row.records += 1;
        }
    }

    fn damage(&mut self, damage: &Damage) {
        self.damages.push(damage.clone());
    }
}

type Live = BTreeMap<FileId, u64>;

fn print(shard: &Shard, count: &Count, end: &End, live: Option<&Live>, output: &mut Output) {
    output.heading(&format!("{} in {}", name(shard), shard.folder.display()));
    let heading = "   segment          base           end        bytes  batches   records  state     ";
    output.heading(&format!("{heading}{}from … to", if live.is_some() { "  live  " } else { "" }));
    let newest = count.rows.last().map_or(SegmentId(0), |row| row.info.segment);
    for row in &count.rows {
        let segment = row.info.segment;
        let filled = end.filled.iter().find(|part| part.segment == segment);
        let base = filled.map(|part| part.base.0);
        let end = filled.map(|part| part.base.0 + part.end);
        let state = match (row.info.rotten, segment == newest) {
            (true, _) => "damaged",
            (false, true) => "newest",
            (false, false) => "sealed",
        };
        let live = live.map(|live| live.get(&FileId::Segment(segment)).copied().unwrap_or(0));
        let share = live.map(|live| live as f64 / filled.map_or(1, |part| part.end).max(1) as f64);
        let times = [row.first_ms, row.last_ms].map(|ms| ms.map(moment));
        let object = json!({
            "type": "segment", "shard": number(shard), "segment": segment.0, "base": base, "end": end,
            "bytes": row.info.bytes, "batches": row.batches, "records": row.records, "state": state,
            "from": times[0], "to": times[1], "live_bytes": live, "live_share": share,
        });
        output.line(&object, || {
            let [base, end] = [base, end].map(|at| at.map_or("?".to_owned(), |at| at.to_string()));
            let [from, to] = times.map(|time| time.unwrap_or_default());
            let (bytes, batches, records) = (row.info.bytes, row.batches, row.records);
            let places = format!("{segment:>10} {base:>13} {end:>13} {bytes:>12}");
            let share = share.map_or(String::new(), |share| format!("{:>4.0} %  ", share * 100.0));
            format!("{places} {batches:>8} {records:>9}  {state:<8}  {share}{from} … {to}")
        });
    }
    let stale =
        end.chain.stale.iter().map(|&segment| (segment, if segment > newest { "ready" } else { "unused" }));
    let fresh = end.chain.fresh.iter().map(|&segment| (segment, "in making"));
    for (segment, state) in stale.chain(fresh) {
        let object = json!({"type": "segment", "shard": number(shard), "segment": segment.0, "state": state});
        output.line(&object, || format!("{segment:>10} {:>62}{state}", ""));
    }
    let object = json!({
        "type": "end", "shard": number(shard), "next": end.tail.end.0, "batches": end.batches,
        "bytes": end.bytes, "torn_bytes": end.torn_bytes,
    });
    output.line(&object, || {
        let torn = match end.torn_bytes {
            0 => String::new(),
            bytes => format!("; {bytes} bytes behind it were being written when the server stopped"),
        };
        format!("the log ends at {} with {} batches{torn}", end.tail.end, end.batches)
    });
}

fn print_pack(shard: &Shard, pack: &PackInfo, live: Option<&Live>, output: &mut Output) {
    let PackInfo { number: file, range, bytes, records, in_use, damage } = pack;
    let live = live.map(|live| live.get(&FileId::Pack(*file)).copied().unwrap_or(0));
    let share = live.map(|live| live as f64 / (*bytes).max(1) as f64);
    let state = match (in_use, damage) {
        (_, Some(_)) => "damaged",
        (true, None) => "in use",
        (false, None) => "replaced",
    };
    let object = json!({
        "type": "pack", "shard": number(shard), "pack": file, "from": range.start, "to": range.end,
        "bytes": bytes, "records": records, "state": state, "damage": damage, "live_bytes": live,
        "live_share": share,
    });
    output.line(&object, || {
        let share = share.map_or(String::new(), |share| format!(", {:.0} % live", share * 100.0));
        let (from, to) = (range.start, range.end);
        format!(
            "pack {file} of {bytes} bytes has {records} bodies of positions {from} to {to}, {state}{share}"
        )
    });
}

fn print_checkpoint(shard: &Shard, checkpoint: &CheckpointInfo, output: &mut Output) {
    let CheckpointInfo { file, bytes, end } = checkpoint;
    let older: Vec<_> = end.iter().flat_map(|end| &end.older).collect();
    let object = json!({
        "type": "checkpoint", "shard": number(shard), "checkpoint": file, "bytes": bytes,
        "position": end.as_ref().map(|end| end.position.0),
        "held_bytes": end.as_ref().map(|end| end.held_bytes),
        "older": older.iter().map(|(file, live)| json!({"checkpoint": file, "live_bytes": live})).collect::<Vec<_>>(),
    });
    output.line(&object, || match end {
        None => format!("checkpoint {file} of {bytes} bytes is damaged"),
        Some(end) => {
            let older: Vec<String> = older.iter().map(|(file, live)| format!("{live} of {file}")).collect();
            let rest = if older.is_empty() { String::new() } else { format!(", needs {}", older.join(", ")) };
            format!("checkpoint {file} of {bytes} bytes holds what the log says up to {}{rest}", end.position)
        }
    });
}
