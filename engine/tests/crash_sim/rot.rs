//! What flipped bits may cost.
//!
//! *Owns*: which bytes of the log are whose. *Promises*: names every account that damage may take out of
//! service, and no other. *Assumes*: bits flip within one sector, hence within one batch.
//! *Never*: asks recovery, which it judges.

use std::collections::BTreeSet;
use std::ops::Range;

use ringpost_engine::arrival::Arrival;
use ringpost_engine::change::Change;
use ringpost_engine::codec;
use ringpost_engine::ids::{AccountId, BodyId, Lsn, SegmentId};
use ringpost_engine::io::Disk;
use ringpost_engine::log::batch;
use ringpost_engine::log::record::{self, KIND_BODY, KIND_WITNESS};
use ringpost_engine::log::scan::{self, BatchInfo, Damage, RecordInfo, SegmentInfo, Visitor};
use ringpost_engine::log::segment;

/// The log by its bytes, read while it was sound.
#[derive(Default)]
pub struct Image {
    segments: Vec<SegmentId>,
    batches: Vec<(BatchInfo, Vec<RecordInfo>)>,
    created: Vec<(AccountId, String)>,
    named: Vec<(BodyId, AccountId)>,
    /// Whose messages were put back, and who has them.
    restored: Vec<(AccountId, AccountId)>,
}

/// What flipped bits may cost.
#[derive(Debug, Default)]
pub struct Cost {
    /// Whether they are damage at all, that a start has to tell of.
    pub told: bool,
    /// Who may be out of service.
    pub accounts: BTreeSet<AccountId>,
}

impl Image {
    /// Reads a sound log.
    pub fn read(disk: &mut dyn Disk) -> Result<Image, String> {
        let mut image = Image::default();
        scan::scan(disk, None, &mut image).map_err(|error| error.to_string())?;
        Ok(image)
    }

    /// The position of a byte; the greatest there is when no batch of its segment tells.
    pub fn position(&self, segment: SegmentId, offset: u64) -> Lsn {
        let batch = self.batches.iter().find(|(batch, _)| batch.meta.segment == segment);
        batch.map_or(Lsn(u64::MAX), |(batch, _)| Lsn(batch.meta.lsn.0 - batch.offset + offset))
    }

    /// The bytes of the batch that this byte is in; none of one that is in none.
    pub fn batch(&self, segment: SegmentId, offset: u64) -> Range<u64> {
        let all = self.batches.iter().filter(|(batch, _)| batch.meta.segment == segment);
        let mut ranges = all.map(|(batch, _)| batch.offset..batch.offset + batch.meta.bytes());
        ranges.find(|range| range.contains(&offset)).unwrap_or_default()
    }

    /// Whether a byte is of a record's payload: not of a header, and not of padding.
    pub fn is_payload(&self, segment: SegmentId, offset: u64) -> bool {
        let mut records = self.batches.iter().flat_map(|(_, records)| records);
        records.any(|record| {
            let start = record.payload_offset;
            record.segment == segment && (start..start + u64::from(record.meta.len)).contains(&offset)
        })
    }

    /// What bits flipped at these offsets of a segment cost.
    pub fn cost(&self, segment: SegmentId, offsets: impl Iterator<Item = u64>) -> Cost {
        let mut cost = Cost::default();
        for offset in offsets {
            if offset < segment::HEAD_BYTES as u64 {
                // The newest header counts only with a second batch; until then its loss is no loss.
                let batches = self.batches.iter().filter(|(batch, _)| batch.meta.segment == segment).count();
                let newest = self.segments.last() == Some(&segment);
                cost.told |= self.segments.contains(&segment) && !(newest && batches < 2);
            }
            self.cost_in_batch(segment, offset, &mut cost);
        }
        let dependent: Vec<AccountId> = self.dependents(&cost.accounts).collect();
        cost.accounts.extend(dependent);
        // In order of the log, so that it goes on from one to the next.
        for (of, account) in &self.restored {
            // A Reap that is lost leaves more to be had back.
            if cost.accounts.contains(of) || cost.accounts.contains(&AccountId(0)) {
                cost.accounts.insert(*account);
            }
        }
        cost
    }

    fn cost_in_batch(&self, segment: SegmentId, offset: u64, cost: &mut Cost) {
        let holds = |batch: &BatchInfo| {
            batch.meta.segment == segment
                && (batch.offset..batch.offset + batch.meta.bytes()).contains(&offset)
        };
        let Some(at) = self.batches.iter().position(|(batch, _)| holds(batch)) else { return };
        if at + 1 == self.batches.len() {
            return; // nothing vouches for the last one, and it holds nothing
        }
        cost.told = true;
        let (batch, records) = &self.batches[at];
        let payload = |record: &&RecordInfo| {
            let start = record.payload_offset;
            (start..start + u64::from(record.meta.len)).contains(&offset)
        };
        let hit = records.iter().find(payload).filter(|_| offset >= batch.offset + batch::HEAD_BYTES as u64);
        let lost: Vec<&RecordInfo> = hit.map_or_else(|| records.iter().collect(), |record| vec![record]);
        for record in lost.into_iter().filter(|record| record.meta.kind != KIND_WITNESS) {
            cost.accounts.insert(record.meta.account);
            if record.meta.kind == KIND_BODY {
                let body = BodyId(
                    record.payload_offset - record::HEAD_BYTES as u64 + batch.meta.lsn.0 - batch.offset,
                );
                assert_eq!(body.0, record.lsn.0, "a position is where its record is");
                cost.accounts.extend(self.named.iter().filter(|(name, _)| *name == body).map(|(_, who)| who));
            }
        }
    }

    /// Those whose creation replay refuses, because a lost account still has their address.
    fn dependents<'a>(&'a self, lost: &'a BTreeSet<AccountId>) -> impl Iterator<Item = AccountId> + 'a {
        let losers = self.created.iter().filter(|(who, _)| lost.contains(who));
        let addresses: BTreeSet<&String> = losers.map(|(_, name)| name).collect();
        self.created.iter().filter(move |(_, name)| addresses.contains(name)).map(|&(who, _)| who)
    }
}

impl Visitor for Image {
    fn segment(&mut self, segment: &SegmentInfo) {
        self.segments.push(segment.segment);
    }

    fn batch(&mut self, batch: &BatchInfo) {
        self.batches.push((*batch, Vec::new()));
    }

    fn record(&mut self, record: &RecordInfo, payload: &[u8]) {
        let (_, records) = self.batches.last_mut().expect("a record is in a batch");
        records.push(*record);
        let account = record.meta.account;
        match codec::decode(record.meta.kind, payload).map(|(change, _)| change) {
            Some(Change::AccountCreate { address, .. }) => self.created.push((account, address)),
            Some(Change::Arrive(Arrival::Account { address, .. })) => self.created.push((account, address)),
            Some(Change::Restore { of, .. }) => self.restored.push((of, account)),
            Some(change) => {
                self.named.extend(change.bodies().chain(change.bodies_moved()).map(|body| (body, account)));
            }
            None => {}
        }
    }

    fn damage(&mut self, damage: &Damage) {
        panic!("this log was sound: {damage:?}");
    }
}
