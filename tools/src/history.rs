//! All that a log still tells: the bodies that compaction has moved into packs, then the segments that are there.
//!
//! *Owns*: the order of reading, and from when on the log is whole. *Promises*: a body is told once, from its segment
//! while that is there; what of a pack cannot be read is told and passed over. *Assumes*: a pack that is in use is not
//! removed while it is read; if it is, that is told as unreadable. *Never*: takes what compaction has let go for
//! damage.

use ringpost_engine::compact::survey::{self, PackRecord, PackVisitor};
use ringpost_engine::ids::Lsn;
use ringpost_engine::log::chain::Chain;
use ringpost_engine::log::scan::{self, End, Visitor};
use serde_json::{Value, json};

use crate::Failure;
use crate::data::Shard;
use crate::disk::ReadOnlyDisk;
use crate::output::{Output, moment, name, number};

/// Is told what a log says, in order but for bodies in packs, which come first.
pub trait Reader: Visitor {
    /// A body whose segment is gone.
    fn packed(&mut self, record: &PackRecord, payload: &[u8]);
}

/// A part of a pack that is not what was written.
#[derive(Clone, Debug)]
pub struct PackDamage {
    /// Which pack.
    pub pack: u64,
    /// From which byte.
    pub offset: u64,
    /// What is wrong.
    pub what: String,
}

impl PackDamage {
    /// One line.
    pub fn tell(&self, shard: &Shard, output: &mut Output) {
        let PackDamage { pack, offset, what } = self;
        let object = json!({
            "type": "damage", "shard": number(shard), "pack": pack, "offset": offset, "what": what,
        });
        output.line(&object, || format!("DAMAGE {} pack {pack} byte {offset}: {what}", name(shard)));
    }
}

/// What was read.
pub struct History {
    /// Where and how the log ends.
    pub end: End,
    /// What of packs could not be read.
    pub damages: Vec<PackDamage>,
}

/// Tells all of a shard's log.
pub fn read(disk: &mut ReadOnlyDisk, shard: &Shard, reader: &mut dyn Reader) -> Result<History, Failure> {
    let told = |error: ringpost_engine::error::Error| error.to_string();
    let chain = Chain::read(disk, shard.id).map_err(told)?;
    let (packs, unreadable) = survey::packs(disk, &chain).map_err(told)?;
    let nothing = |pack| PackDamage { pack, offset: 0, what: "nothing of it can be read".to_owned() };
    let mut damages: Vec<PackDamage> = unreadable.into_iter().map(nothing).collect();
    for pack in packs.iter().filter(|pack| pack.in_use) {
        let mut gone = Gone { chain: &chain, reader, damages: &mut damages };
        survey::survey(disk, (pack.number, pack.bytes), &chain, &mut gone).map_err(told)?;
    }
    let end = scan::scan(disk, shard.id, reader).map_err(told)?;
    Ok(History { end, damages })
}

/// Passes on the bodies that no segment has any more.
struct Gone<'a> {
    chain: &'a Chain,
    reader: &'a mut dyn Reader,
    damages: &'a mut Vec<PackDamage>,
}

impl PackVisitor for Gone<'_> {
    fn packed(&mut self, record: &PackRecord, payload: &[u8]) {
        if !has(self.chain, record.lsn) {
            self.reader.packed(record, payload);
        }
    }

    fn damaged(&mut self, pack: u64, offset: u64, what: &str) {
        self.damages.push(PackDamage { pack, offset, what: what.to_owned() });
    }
}

/// Whether the segment of a position is there.
pub fn has(chain: &Chain, lsn: Lsn) -> bool {
    let metas = chain.segments.iter().filter_map(|info| info.meta.map(|meta| (meta.base.0, info.bytes)));
    let mut before = metas.take_while(|(base, _)| *base <= lsn.0);
    before.by_ref().last().is_some_and(|(base, bytes)| lsn.0 - base < bytes)
}

/// From when on a log tells everything, in milliseconds since 1970; none if it tells from its beginning.
pub fn whole_since_ms(chain: &Chain) -> Option<u64> {
    let last_gone = chain.missing.iter().max()?;
    let behind = chain.segments.iter().filter(|info| info.segment > *last_gone);
    behind.filter_map(|info| info.meta).map(|meta| meta.created_ms).next()
}

/// Says from when on the log tells everything, if it is not from its beginning.
pub fn tell_gone(shard: &Shard, chain: &Chain, output: &mut Output) {
    let Some(since_ms) = whole_since_ms(chain) else { return };
    let since: Value = moment(since_ms).into();
    let object = json!({"type": "gone", "shard": number(shard), "whole_since": since});
    output.line(&object, || {
        let since = moment(since_ms);
        format!("  note      the log tells all only since {since}: what was before was let go by compaction")
    });
}
