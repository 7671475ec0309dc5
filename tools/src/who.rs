//! Who asked for a change.
//!
//! *Owns*: the way from the number that a change carries to its session's record. *Promises*: a session is told of
//! only if its very record was read; memory for a bounded number of them. *Assumes*: the number is the record's
//! position, as `ringpost_engine::origin` makes it. *Never*: guesses.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use ringpost_engine::change::Change;
use ringpost_engine::codec;
use ringpost_engine::ids::{Lsn, SegmentId};
use ringpost_engine::io::{Disk, FileId};
use ringpost_engine::log::BLOCK;
use ringpost_engine::log::batch::{self, BatchMeta, LogIdentity};
use ringpost_engine::log::chain::Chain;
use ringpost_engine::origin::{SessionInfo, record_before};
use serde_json::{Value, json};

use crate::data::Shard;
use crate::describe;
use crate::disk::ReadOnlyDisk;
use crate::output::plain;

/// Sessions that are kept in memory; the others are read again when they are wanted.
const SESSIONS_KEPT_MAX: usize = 10_000;
/// Records of a session lie within so many blocks behind their batch's beginning: batches are not longer but for one
/// record, and that of a session is short.
const BATCH_BLOCKS_MAX: u64 = 64 * 1024;

/// Who asked for a change, as far as the log tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// The log names nobody: a delivery, the store itself, or a log of before sessions were named.
    Nobody,
    /// A session that the log still tells of.
    Session(SessionInfo),
    /// A session, whose record is not to be had any more; its number.
    Forgotten(u32),
}

impl By {
    /// For machines.
    pub fn json(&self) -> Value {
        match self {
            By::Nobody => Value::Null,
            By::Session(about) => describe::session(about),
            By::Forgotten(number) => json!({"number": number}),
        }
    }

    /// For people; none if there is nobody to name.
    pub fn text(&self) -> Option<String> {
        match self {
            By::Nobody => None,
            By::Forgotten(number) => {
                Some(format!("session {number}, of which the log does not tell any more"))
            }
            By::Session(about) if about.service == "admin" => {
                Some(format!("the administrator (ringpost {})", plain(&about.client)))
            }
            By::Session(about) => {
                let SessionInfo { service, connection, tls, peer, user, client, .. } = about;
                let tls = if *tls { " with TLS" } else { "" };
                let mut text = format!("{}, {service} from {}{tls}", plain(user), plain(peer));
                if !client.is_empty() {
                    text += &format!(", {}", plain(client));
                }
                Some(text + &format!(" (conn {connection})"))
            }
        }
    }
}

/// See the module's head.
pub struct Who {
    disk: ReadOnlyDisk,
    log: Option<LogIdentity>,
    /// The position of byte 0 of each segment.
    segments: BTreeMap<Lsn, SegmentId>,
    known: BTreeMap<Lsn, SessionInfo>,
}

impl Who {
    /// Of a shard's log.
    pub fn new(shard: &Shard) -> Who {
        Who::of(&shard.folder)
    }

    fn of(folder: &Path) -> Who {
        let mut disk = ReadOnlyDisk::quiet(folder);
        // Whoever asks has read the same chain, and has told what is wrong with it.
        let chain = Chain::read(&mut disk, None).unwrap_or_default();
        let metas = chain.segments.iter().filter_map(|info| info.meta);
        let segments = metas.map(|meta| (meta.base, meta.segment)).collect();
        Who { disk, log: chain.log, segments, known: BTreeMap::new() }
    }

    /// Takes note of a session's record that went by.
    pub fn learn(&mut self, at: Lsn, about: &SessionInfo) {
        if self.known.len() == SESSIONS_KEPT_MAX {
            self.known.pop_first();
        }
        self.known.insert(at, about.clone());
    }

    /// Who asked for the change at this position, which carries this number.
    pub fn asked(&mut self, change: Lsn, session: u32) -> By {
        if session == 0 {
            return By::Nobody;
        }
        let Some(place) = record_before(change, session) else { return By::Forgotten(session) };
        if let Some((_, about)) = self.known.range(place.clone()).next() {
            return By::Session(about.clone());
        }
        match self.read(&place) {
            Some((at, about)) => {
                self.learn(at, &about);
                By::Session(about)
            }
            None => By::Forgotten(session),
        }
    }

    /// The session's record that begins in these bytes.
    fn read(&mut self, place: &Range<Lsn>) -> Option<(Lsn, SessionInfo)> {
        let (&base, &segment) = self.segments.range(..=place.start).next_back()?;
        let last = (place.start.0 - base.0) / BLOCK;
        for block in (1..=last).rev().take(BATCH_BLOCKS_MAX as usize) {
            let offset = block * BLOCK;
            let mut head = [0; batch::HEAD_BYTES];
            self.fill(segment, offset, &mut head)?;
            let found = BatchMeta::decode(&head, self.log).map(|(meta, ..)| meta);
            let own = |meta: &BatchMeta| meta.segment == segment && meta.lsn.0 == base.0 + offset;
            if let Some(meta) = found.filter(own) {
                return self.search(segment, offset, &meta, place);
            }
        }
        None
    }

    fn search(
        &mut self,
        segment: SegmentId,
        offset: u64,
        meta: &BatchMeta,
        place: &Range<Lsn>,
    ) -> Option<(Lsn, SessionInfo)> {
        let size = self.disk.size(FileId::Segment(segment)).unwrap_or(0);
        if offset + meta.bytes() > size || meta.lsn.0 + meta.bytes() <= place.start.0 {
            return None;
        }
        let mut payload = vec![0; meta.len as usize];
        self.fill(segment, offset + batch::HEAD_BYTES as u64, &mut payload)?;
        let slots = batch::open(meta, &payload)?;
        let start = meta.lsn.0 + batch::HEAD_BYTES as u64;
        let at = |slot: &batch::Slot| Lsn(start + slot.at as u64);
        let mut near = slots.iter().filter(|slot| slot.sound && place.contains(&at(slot)));
        // Another record may begin within these bytes as well, but no other session's.
        near.find_map(|slot| match codec::decode(slot.head.kind, slot.payload(&payload)) {
            Some((Change::Session { about }, _)) => Some((at(slot), about)),
            _ => None,
        })
    }

    fn fill(&mut self, segment: SegmentId, offset: u64, buffer: &mut [u8]) -> Option<()> {
        let read = self.disk.read(FileId::Segment(segment), offset, buffer).ok()?;
        (read == buffer.len()).then_some(())
    }
}
