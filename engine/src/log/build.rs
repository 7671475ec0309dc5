//! A batch while it fills.
//!
//! *Owns*: the gathering of records into the parts of one write, and what each will do once durable.
//! *Promises*: a position given out is where the record will be; bodies are referred to, never copied.
//! *Assumes*: the writer has checked that the record fits. *Never*: knows what comes before or after.

use bytes::{Bytes, BytesMut};
use zerocopy::IntoBytes;

use super::batch::HEAD_BYTES;
use super::record::{FLAG_ANY_ACCOUNT, HEAD_BYTES as RECORD_HEAD, KIND_BODY, KIND_WITNESS};
use super::record::{RecordHead, RecordMeta};
use super::{ZEROES, padded};
use crate::change::{Entry, NewBody};
use crate::ids::{AccountId, BodyId, BodyKey, Lsn, SegmentId};
use crate::limits::WITNESS_ACCOUNTS_MAX;

/// Where a batch lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// In which segment.
    pub segment: SegmentId,
    /// Position of that segment's byte 0.
    pub base: Lsn,
    /// From which byte.
    pub offset: u64,
}

impl Place {
    /// The position of its first byte.
    pub fn lsn(self) -> Lsn {
        Lsn(self.base.0 + self.offset)
    }
}

/// What becomes visible when a batch is durable.
#[derive(Debug)]
pub(crate) enum Item {
    /// A change.
    Entry(Entry),
    /// A body, for changes behind it to name.
    Body(BodyKey, SegmentId),
}

/// The accounts that a batch concerns, for its successor to name. I6
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Witness {
    /// Exactly these, ascending.
    Accounts(Vec<AccountId>),
    /// More than `limits::WITNESS_ACCOUNTS_MAX`.
    Any,
}

impl Witness {
    /// Of no account.
    pub const NONE: Witness = Witness::Accounts(Vec::new());

    /// Of these, in any order, each any number of times.
    pub fn of(mut accounts: Vec<AccountId>) -> Witness {
        accounts.sort_unstable();
        accounts.dedup();
        if accounts.len() > WITNESS_ACCOUNTS_MAX { Witness::Any } else { Witness::Accounts(accounts) }
    }

    /// Bytes of its record.
    pub fn bytes(&self) -> usize {
        match self {
            Witness::Accounts(accounts) => RECORD_HEAD + 8 * accounts.len(),
            Witness::Any => RECORD_HEAD,
        }
    }
}

/// A batch that is complete and waits for its write, or is being written.
#[derive(Debug)]
pub(crate) struct Batch {
    /// Where it goes.
    pub place: Place,
    /// Bytes of its records.
    pub len: u32,
    /// How many records.
    pub records: u32,
    /// Checksum over their headers.
    pub heads_crc: u32,
    /// The records' bytes, and padding behind them; empty once handed to the disk.
    pub parts: Vec<Bytes>,
    /// What it brings.
    pub items: Vec<Item>,
    /// Whom it concerns.
    pub witness: Witness,
    /// Bytes of the record that names the accounts of the batch before.
    pub witness_len: usize,
}

impl Batch {
    /// Bytes of what was appended.
    pub fn appended(&self) -> usize {
        self.len as usize - self.witness_len
    }

    /// Bytes it takes in the file.
    pub fn bytes(&self) -> u64 {
        padded(HEAD_BYTES as u64 + u64::from(self.len))
    }
}

/// A batch that takes records.
#[derive(Debug)]
pub(crate) struct Building {
    place: Place,
    heads: crc32fast::Hasher,
    parts: Vec<Bytes>,
    tail: BytesMut,
    len: usize,
    witness_len: usize,
    records: u32,
    items: Vec<Item>,
    accounts: Vec<AccountId>,
    /// A planted bug: every fourth record passes for something that replay does not look at.
    #[cfg(feature = "testing")]
    pub drop_record: bool,
}

impl Building {
    /// Begins a batch at `place` that names the accounts of the one before.
    pub fn new(place: Place, before: &Witness) -> Building {
        let mut batch = Building {
            place,
            heads: crc32fast::Hasher::new(),
            parts: Vec::new(),
            tail: BytesMut::new(),
            len: 0,
            witness_len: before.bytes(),
            records: 0,
            items: Vec::new(),
            accounts: Vec::new(),
            #[cfg(feature = "testing")]
            drop_record: false,
        };
        let (flags, ids): (u8, &[AccountId]) = match before {
            Witness::Accounts(ids) => (0, ids),
            Witness::Any => (FLAG_ANY_ACCOUNT, &[]),
        };
        let mut payload = Vec::with_capacity(ids.len() * 8);
        for id in ids {
            payload.extend_from_slice(&id.0.to_le_bytes());
        }
        let (kind, account, len) = (KIND_WITNESS, AccountId(0), payload.len() as u32);
        batch.push(RecordMeta { kind, flags, account, len, summary_len: 0, session: 0 }, &payload);
        batch
    }

    /// Where it goes.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Bytes it takes in the file if `more` bytes of records are added.
    pub fn bytes_with(&self, more: usize) -> u64 {
        padded((HEAD_BYTES + self.len + more) as u64)
    }

    /// Bytes of records so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds nothing but the witness.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Slices so far.
    pub fn part_count(&self) -> usize {
        self.parts.len() + 1
    }

    /// The position of the next record.
    pub fn next_lsn(&self) -> Lsn {
        Lsn(self.place.lsn().0 + (HEAD_BYTES + self.len) as u64)
    }

    /// Whom it concerns so far.
    pub fn witness(&self) -> Witness {
        Witness::of(self.accounts.clone())
    }

    /// What waits in it.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Adds a change under its encoded form, and which session asked for it.
    pub fn push_change(&mut self, kind: u8, session: u32, payload: &[u8], entry: Entry) {
        assert_eq!(entry.lsn, self.next_lsn(), "I1: a record is where its position says");
        #[cfg(feature = "testing")]
        let kind = if self.drop_record && self.records % 4 == 3 { KIND_WITNESS } else { kind };
        let meta = RecordMeta {
            kind,
            flags: 0,
            account: entry.account,
            len: payload.len() as u32,
            summary_len: 0,
            session,
        };
        self.push(meta, payload);
        self.accounts.push(entry.account);
        self.items.push(Item::Entry(entry));
    }

    /// Adds a body; its octets stay where they are until the disk takes them.
    pub fn push_body(&mut self, account: AccountId, body: NewBody) -> BodyId {
        let id = BodyId(self.next_lsn().0);
        let octets: usize = body.parts.iter().map(Bytes::len).sum();
        let meta = RecordMeta {
            kind: KIND_BODY,
            flags: 0,
            account,
            len: (body.summary.len() + octets) as u32,
            summary_len: body.summary.len() as u32,
            session: 0,
        };
        let slices = std::iter::once(&body.summary[..]).chain(body.parts.iter().map(|part| &part[..]));
        let head = RecordHead::seal(meta, slices);
        self.add_head(&head);
        self.tail.extend_from_slice(&body.summary);
        self.parts.push(self.tail.split().freeze());
        self.parts.extend(body.parts);
        self.len += RECORD_HEAD + meta.len as usize;
        self.accounts.push(account);
        self.items.push(Item::Body(body_key(id, meta), self.place.segment));
        id
    }

    fn push(&mut self, meta: RecordMeta, payload: &[u8]) {
        self.add_head(&RecordHead::seal(meta, std::iter::once(payload)));
        self.tail.extend_from_slice(payload);
        self.len += RECORD_HEAD + payload.len();
    }

    fn add_head(&mut self, head: &RecordHead) {
        self.heads.update(head.as_bytes());
        self.tail.extend_from_slice(head.as_bytes());
        self.records += 1;
    }

    /// Takes no more.
    pub fn close(mut self) -> Batch {
        if !self.tail.is_empty() {
            self.parts.push(self.tail.freeze());
        }
        let used = (HEAD_BYTES + self.len) as u64;
        let padding = (padded(used) - used) as usize;
        self.parts.push(Bytes::from_static(&ZEROES[..padding]));
        Batch {
            place: self.place,
            len: self.len as u32,
            records: self.records,
            heads_crc: self.heads.finalize(),
            parts: self.parts,
            items: self.items,
            witness: Witness::of(self.accounts),
            witness_len: self.witness_len,
        }
    }
}

/// What finds a body whose record says this. The same for the living and for replay.
pub(crate) fn body_key(id: BodyId, meta: RecordMeta) -> BodyKey {
    BodyKey { id, summary_len: meta.summary_len, len: meta.len - meta.summary_len }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::Extent;
    use crate::log::batch::{self, BatchMeta};
    use crate::log::places::Places;

    #[test]
    fn what_is_built_opens_and_extents_point_at_the_octets() {
        let place = Place { segment: SegmentId(1), base: Lsn(0), offset: 4096 };
        let mut building = Building::new(place, &Witness::of(vec![AccountId(9), AccountId(3), AccountId(9)]));
        let parts = vec![Bytes::from_static(b"Subject: x\r\n"), Bytes::from_static(b"\r\nhi\r\n")];
        let id = building.push_body(AccountId(3), NewBody { parts, summary: Bytes::from_static(b"SUM") });
        let batch = building.close();
        let bytes: Vec<u8> = batch.parts.iter().flat_map(|part| part.to_vec()).collect();
        assert_eq!((bytes.len() + HEAD_BYTES) as u64, batch.bytes());
        let meta = BatchMeta {
            segment: SegmentId(1),
            sequence: 1,
            lsn: place.lsn(),
            durable: place.lsn(),
            time_ms: 0,
            len: batch.len,
            records: batch.records,
            prev_crc: 0,
            heads_crc: batch.heads_crc,
        };
        let slots = batch::open(&meta, &bytes[..batch.len as usize]).expect("opens");
        assert!(slots.iter().all(|slot| slot.sound));
        let [Item::Body(key, _)] = &batch.items[..] else { panic!("one body") };
        assert_eq!(key.id, id);
        let mut places = Places::default();
        places.add(Lsn(0), SegmentId(1));
        let body = places.find(*key).expect("there");
        let at = |extent: Extent| {
            let start = extent.offset as usize - 4096 - HEAD_BYTES;
            &bytes[start..start + extent.len as usize]
        };
        assert_eq!(at(body.summary), b"SUM");
        assert_eq!(at(body.bytes.as_sent().expect("as sent")), b"Subject: x\r\n\r\nhi\r\n");
        assert_eq!(id.0 - place.lsn().0, (HEAD_BYTES + slots[1].at) as u64);
    }
}
