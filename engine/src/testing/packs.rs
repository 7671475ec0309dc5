//! Many packs, of which only the tables are there.
//!
//! *Owns*: making them, and counting how often their bytes are looked at. *Promises*: look-ups are those of a store.
//! *Assumes*: nobody asks for a record. *Never*: a file.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::compact::pack::{self, Pack};
use crate::compact::table::{Entry, Table};
use crate::ids::{BodyId, BodyKey, Lsn, ShardId};
use crate::io::View;
use crate::log::batch::LogIdentity;
use crate::log::places::Places;

/// Positions from one record to the next.
const STEP: u64 = 4096;

/// See the module's head.
#[derive(Debug)]
pub struct Packs {
    places: Places,
    looks: Arc<AtomicU64>,
    bodies: u64,
}

/// The end of a pack's file.
#[derive(Debug)]
struct End {
    begin: u64,
    bytes: Bytes,
    looks: Arc<AtomicU64>,
}

impl View for End {
    fn slice(&self, offset: u64, len: u32) -> Option<Bytes> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        let from = usize::try_from(offset.checked_sub(self.begin)?).ok()?;
        let end = from.checked_add(len as usize).filter(|&end| end <= self.bytes.len())?;
        Some(self.bytes.slice(from..end))
    }
}

impl Packs {
    /// So many packs with so many bodies each.
    pub fn new(packs: u64, bodies: u64) -> Packs {
        let (looks, mut places) = (Arc::new(AtomicU64::new(0)), Places::default());
        let log = LogIdentity { shard: ShardId(0), log_key: 7 };
        for number in 0..packs {
            let from = number * bodies * STEP;
            let entry = |nth| Entry { position: from + nth * STEP, offset: (64 + nth * 40) as u32, flags: 0 };
            let entries: Vec<Entry> = (0..bodies).map(entry).collect();
            let (range, begin) = (from..from + bodies * STEP, 64 + bodies * 40);
            let (bytes, fences) = pack::end(log, number, &range, begin, &entries);
            let table = Table::Mapped { at: begin, count: entries.len(), fences };
            let size = begin + bytes.len() as u64;
            let view = Box::new(End { begin, bytes, looks: looks.clone() });
            places.add_pack(Pack::made(number, range, size, table, view, Lsn(0)));
        }
        looks.store(0, Ordering::Relaxed);
        Packs { places, looks, bodies: packs * bodies }
    }

    fn key(&self, nth: u64) -> BodyKey {
        BodyKey { id: BodyId(nth % self.bodies * STEP), summary_len: 0, len: 16 }
    }

    /// Whether a body is found where it is.
    pub fn find(&self, nth: u64) -> bool {
        self.places.find(self.key(nth)).is_some()
    }

    /// Whether the page is named that finding it takes.
    pub fn page(&self, nth: u64) -> bool {
        self.places.page_of(self.key(nth)).is_some()
    }

    /// How often bytes of packs were looked at.
    pub fn looks(&self) -> u64 {
        self.looks.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn naming_a_page_looks_at_none_and_finding_a_body_at_one() {
        let packs = Packs::new(50, 300);
        assert!((0..15_000).all(|nth| packs.page(nth)));
        assert_eq!(packs.looks(), 0, "DESIGN.md §6.9: the page is brought in first");
        assert!((0..15_000).all(|nth| packs.find(nth)));
        assert_eq!(packs.looks(), 15_000);
        assert!(packs.places.page_of(BodyKey { id: BodyId(u64::MAX), summary_len: 0, len: 1 }).is_none());
    }
}
