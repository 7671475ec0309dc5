//! Which bodies are kept, and how much of each segment they are.
//!
//! *Owns*: the references of bodies, and the shares of segments that are alive. *Promises*: a body that is neither
//! fresh nor shown nor restorable is dead; references equal the messages that show it (I16); nothing is kept for a
//! body that is shown once. *Assumes*: bodies become known in order of their ids, for ids are log positions.
//! *Never*: knows where the bytes are; the messages say how long they are, and a position says the rest.
//!
//! ```text
//!            Deliver, Append                    512 MiB of log later, with
//!  fresh ───────────────────► fresh, references ──── 2 and more ───► shared ──┐ release
//!    │                                          ├─── 1 ────────────► listed nowhere ◄┘
//!    └─ never named: dead ◄───── none ──────────┘                        │ release
//!                                                                        ▼ dead
//! ```
//!
//! What is fresh, and when it ceases to be, depends on positions alone, so that replay comes to the same. Where records
//! are lost, nobody knows any more who showed what: then no fresh body dies before it is fresh no more, for an account
//! of which nothing is lost may be about to name it.

pub(super) mod distrust;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::{Bound, Range};

use super::digest::Digest;
use crate::checkpoint::wire::{Wire, put};
use crate::compact::Dead;
use crate::ids::{BodyId, BodyKey, Lsn, SegmentId};
use crate::limits::FRESH_SPAN_BYTES;

/// References of a fresh body that had some and has none: it is dead.
const GONE: u32 = u32::MAX;

/// A body that a change may still name for the first time.
#[derive(Clone, Copy, Debug)]
struct Fresh {
    key: BodyKey,
    references: u32,
}

/// The bodies that a segment brought in.
#[derive(Clone, Debug)]
pub(super) struct Share {
    /// Which segment.
    pub(super) segment: SegmentId,
    /// How many of them are not dead.
    pub(super) bodies: u32,
    /// Bytes of the records of those.
    pub(super) bytes: u64,
    /// The dead ones, in order of their death: how far each is behind the first.
    pub(super) dead: Vec<u32>,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    /// Ascending.
    fresh: VecDeque<Fresh>,
    /// Those with two references or more that are not fresh.
    shared: BTreeMap<BodyId, u32>,
    /// By the id of the first body of each segment.
    shares: BTreeMap<BodyId, Share>,
    /// Octets of the bodies that have a reference.
    bytes: u64,
    /// The shares of which something has changed since a checkpoint took it.
    changed: BTreeSet<BodyId>,
    /// The bodies of one share that is among the changed ones: a COPY touches neighbours, one after the other.
    touched: Range<BodyId>,
    /// Whether fresh bodies stay without a reference: some that they had may be lost.
    held: bool,
    /// Behind the place of the fresh body that was found last: that of its neighbour.
    next: usize,
    /// The shares that a checkpoint is still to take, as they were when it began.
    frozen: BTreeSet<BodyId>,
    /// Those of them that have changed since, as they were.
    kept: BTreeMap<BodyId, Vec<u8>>,
}

/// What rows show that stand for rows that cannot be read, until their account is closed.
pub(super) const NO_BODY: BodyId = BodyId(0);

/// The part of a checkpoint that is of no segment.
const TOTALS: u64 = 0;

impl Bodies {
    /// Octets of the bodies that are shown, each once.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A body that a change at this position may name; none when there is none of that id, or not any more.
    pub(super) fn fresh(&self, id: BodyId) -> Option<BodyKey> {
        self.place(id).map(|place| self.fresh[place].key)
    }

    fn place(&self, id: BodyId) -> Option<usize> {
        let place = self.fresh.binary_search_by_key(&id, |fresh| fresh.key.id).ok();
        place.filter(|place| self.fresh[*place].references != GONE)
    }

    /// As `place`, in one step for the neighbour of the one before.
    fn place_near(&mut self, id: BodyId) -> Option<usize> {
        let is_next = self.fresh.get(self.next).is_some_and(|fresh| fresh.key.id == id);
        let place = if is_next { self.next } else { self.place(id)? };
        self.next = place + 1;
        Some(place)
    }

    /// The log has come to this position: what is too far behind is fresh no more.
    pub(super) fn advance(&mut self, to: Lsn) {
        while let Some(oldest) = self.fresh.front().filter(|oldest| oldest.key.id.0 + FRESH_SPAN_BYTES < to.0)
        {
            let Fresh { key, references } = *oldest;
            self.touch(key.id);
            self.fresh.pop_front();
            match references {
                0 => self.die(key),
                1 | GONE => {}
                _ => drop(self.shared.insert(key.id, references)),
            }
        }
    }

    /// Makes a body known. Its id is greater than all before.
    pub(super) fn insert(&mut self, key: BodyKey, segment: SegmentId) {
        let last = self.shares.last_key_value();
        let greatest = self.fresh.back().map(|fresh| fresh.key.id).or(last.map(|(first, _)| *first));
        assert!(greatest.is_none_or(|greatest| greatest < key.id), "I12: body ids only grow");
        if last.is_none_or(|(_, share)| share.segment != segment) {
            self.shares.insert(key.id, Share { segment, bodies: 0, bytes: 0, dead: Vec::new() });
            self.touched = Range::default();
        }
        self.touch(key.id);
        self.fresh.push_back(Fresh { key, references: 0 });
        let share = self.share(key.id).1;
        share.bodies += 1;
        share.bytes += key.record_bytes();
    }

    /// The segment's share that a body is part of, and the id of its first body.
    fn share(&mut self, id: BodyId) -> (BodyId, &mut Share) {
        let share = self.shares.range_mut(..=id).next_back();
        share.map(|(first, share)| (*first, share)).expect("I16: a known body is part of a segment")
    }

    /// Whether an account of another log may show this body: a fresh one of these lengths, or one that is older and
    /// that a message shows already, for which whoever moves the account vouches.
    pub(super) fn may_be_shown(&self, key: BodyKey) -> bool {
        if let Some(fresh) = self.fresh(key.id) {
            return fresh == key;
        }
        let older = self.fresh.front().is_none_or(|oldest| key.id < oldest.key.id);
        older && self.shares.keys().next().is_some_and(|first| *first <= key.id)
    }

    /// Some of the log is lost: no fresh body dies from here on as long as it is fresh.
    pub(super) fn hold_fresh(&mut self) {
        self.held = true;
    }

    /// How many messages show a body that one shows.
    pub(super) fn references(&self, key: BodyKey) -> u32 {
        let fresh = self.place(key.id).map(|place| self.fresh[place].references);
        fresh.or_else(|| self.shared.get(&key.id).copied()).unwrap_or(1)
    }

    /// One more message shows the body: a fresh one, or one that another message shows.
    pub(super) fn reference(&mut self, key: BodyKey) {
        if key.id == NO_BODY {
            return;
        }
        self.touch(key.id);
        let Some(place) = self.place_near(key.id) else {
            *self.shared.entry(key.id).or_insert(1) += 1;
            return;
        };
        let references = &mut self.fresh[place].references;
        *references += 1;
        if *references == 1 {
            self.bytes += u64::from(key.len);
        }
    }

    /// One message less shows the body. Without any it is dead, also when it is fresh.
    pub(super) fn release(&mut self, key: BodyKey) {
        if key.id == NO_BODY {
            return;
        }
        self.touch(key.id);
        if let Some(place) = self.place_near(key.id) {
            let references = &mut self.fresh[place].references;
            *references = references.checked_sub(1).expect("I16: a shown body has a reference");
            if *references == 0 {
                self.bytes -= u64::from(key.len);
                if !self.held {
                    *references = GONE;
                    self.die(key);
                }
            }
            return;
        }
        match self.shared.get_mut(&key.id) {
            Some(2) => drop(self.shared.remove(&key.id)),
            Some(references) => *references -= 1,
            None => {
                self.bytes -= u64::from(key.len);
                self.die(key);
            }
        }
    }

    /// Nobody can ask for the body any more.
    fn die(&mut self, key: BodyKey) {
        let (first, share) = self.share(key.id);
        share.bodies = share.bodies.checked_sub(1).expect("I16: a body dies once");
        share.bytes -= key.record_bytes();
        share.dead.push(u32::try_from(key.id.0 - first.0).expect("a segment is shorter than 4 GiB"));
    }

    /// Bytes of the records of the bodies in a range of positions that are not dead.
    pub(super) fn live_in(&self, range: &Range<u64>) -> u64 {
        self.shares_in(range).map(|(_, share)| share.bytes).sum()
    }

    /// How many bodies in a range of positions are not dead.
    pub(super) fn count_in(&self, range: &Range<u64>) -> usize {
        self.shares_in(range).map(|(_, share)| share.bodies as usize).sum()
    }

    /// Whether somebody needs a body of the segment that begins at this position, and the body begins at `from` or
    /// behind it, if `before` of the segment begin before it, the dead ones included.
    pub(super) fn has_more(&self, (segment, base): (SegmentId, Lsn), from: u64, before: u64) -> bool {
        // Not by positions alone: a file that was cut off and came back longer reaches into those of the next.
        let share = self.shares.range(BodyId(base.0)..).next().filter(|(_, share)| share.segment == segment);
        share.is_some_and(|(first, share)| {
            let is_before = |behind: &&u32| first.0 + u64::from(**behind) < from;
            u64::from(share.bodies) + share.dead.iter().filter(is_before).count() as u64 > before
        })
    }

    /// The first body of the share that a body is part of.
    pub(super) fn first_beside(&self, id: BodyId) -> BodyId {
        self.shares.range(..=id).next_back().map_or(id, |(first, _)| *first)
    }

    fn shares_in(&self, range: &Range<u64>) -> impl Iterator<Item = (&BodyId, &Share)> {
        self.shares.range(BodyId(range.start)..BodyId(range.end))
    }

    /// The dead ones of a range, as they are now.
    pub(super) fn dead_in(&self, range: &Range<u64>) -> Dead {
        let mut dead = Dead::default();
        for (first, share) in self.shares_in(range) {
            dead.positions.extend(share.dead.iter().map(|&behind| first.0 + u64::from(behind)));
            dead.counts.push((*first, share.dead.len()));
        }
        dead.positions.sort_unstable();
        dead
    }

    /// These dead ones are nowhere any more: only what has died since is to be left out the next time.
    pub(super) fn relocated(&mut self, dead: &Dead) {
        for &(first, count) in &dead.counts {
            self.touch_share(first);
            if let Some(share) = self.shares.get_mut(&first) {
                share.dead.drain(..count.min(share.dead.len()));
            }
        }
    }

    /// Files of a range are gone: shares of which nothing is alive say nothing any more, unless a pack has the dead
    /// ones still. `is_held` if one stands for the share that begins with a body.
    pub(super) fn forget_dead(&mut self, range: &Range<u64>, is_held: impl Fn(BodyId) -> bool) {
        let is_over = |(first, share): (&BodyId, &Share)| {
            share.bodies == 0 && (share.dead.is_empty() || !is_held(*first))
        };
        let shares: Vec<(BodyId, bool)> =
            self.shares_in(range).map(|share| (*share.0, is_over(share))).collect();
        for &(first, _) in &shares {
            self.touch_share(first);
        }
        self.touched = Range::default();
        for (first, _) in shares.into_iter().filter(|(_, is_over)| *is_over) {
            self.shares.remove(&first);
        }
        self.fresh.retain(|fresh| fresh.references != GONE || !range.contains(&fresh.key.id.0));
    }

    /// Segments of which something is alive: the first position, and which one it was.
    pub(super) fn alive(&self) -> impl Iterator<Item = (BodyId, SegmentId)> + '_ {
        self.shares.iter().filter(|(_, share)| share.bodies > 0).map(|(first, share)| (*first, share.segment))
    }

    /// Whether nobody can ask for the body that begins here any more.
    pub(super) fn is_dead(&self, id: BodyId) -> bool {
        let share = self.shares.range(..=id).next_back();
        share.is_none_or(|(first, share)| {
            share.bodies == 0 || share.dead.iter().any(|&behind| first.0 + u64::from(behind) == id.0)
        })
    }

    /// Something of the share that a body is part of is about to change.
    fn touch(&mut self, id: BodyId) {
        if self.touched.contains(&id) {
            return;
        }
        let first = self.share(id).0;
        self.touch_share(first);
        self.touched = first..self.end_of(first);
    }

    /// The share that begins with this body is about to change.
    fn touch_share(&mut self, first: BodyId) {
        self.changed.insert(first);
        if self.frozen.remove(&first) {
            let mut out = Vec::new();
            self.write(first.0, &mut out);
            self.kept.insert(first, out);
        }
    }

    /// The first body of the share behind the one that begins here.
    fn end_of(&self, first: BodyId) -> BodyId {
        let next = (Bound::Excluded(first), Bound::Unbounded);
        self.shares.range(next).next().map_or(BodyId(u64::MAX), |(next, _)| *next)
    }

    /// The parts that have changed since this was asked last.
    pub(super) fn take_changed(&mut self) -> Vec<u64> {
        let changed = std::mem::take(&mut self.changed);
        self.touched = Range::default();
        let totals = (!changed.is_empty()).then_some(TOTALS);
        totals.into_iter().chain(changed.into_iter().map(|first| first.0)).collect()
    }

    /// A checkpoint begins that is to have these parts as they are now, whenever it takes them.
    pub(super) fn freeze(&mut self, parts: impl Iterator<Item = u64>) {
        self.frozen = parts.filter(|&part| part != TOTALS).map(BodyId).collect();
        self.kept.clear();
        self.touched = Range::default();
    }

    /// One part, as it was when the checkpoint began. False when there was none.
    pub(super) fn take(&mut self, part: u64, out: &mut Vec<u8>) -> bool {
        self.frozen.remove(&BodyId(part));
        match self.kept.remove(&BodyId(part)) {
            Some(mut kept) => {
                out.append(&mut kept);
                true
            }
            None => self.write(part, out),
        }
    }

    /// One part as it is: a segment's share, and what is fresh or shared of it. False when there is none.
    fn write(&self, part: u64, out: &mut Vec<u8>) -> bool {
        if part == TOTALS {
            put(out, self.bytes);
            return true;
        }
        let first = BodyId(part);
        let Some(share) = self.shares.get(&first) else { return false };
        let end = self.end_of(first);
        put(out, share.segment.0);
        put(out, u64::from(share.bodies));
        put(out, share.bytes);
        put(out, share.dead.len() as u64);
        share.dead.iter().for_each(|&behind| put(out, u64::from(behind)));
        let place = |id: BodyId| self.fresh.partition_point(|fresh| fresh.key.id < id);
        let fresh = self.fresh.range(place(first)..place(end));
        put(out, fresh.len() as u64);
        let mut before = part;
        for Fresh { key, references } in fresh {
            put(out, key.id.0 - before);
            put(out, u64::from(key.summary_len));
            put(out, u64::from(key.len));
            put(out, u64::from(*references));
            before = key.id.0;
        }
        put(out, self.shared.range(first..end).count() as u64);
        for (id, references) in self.shared.range(first..end) {
            put(out, id.0 - part);
            put(out, u64::from(*references));
        }
        true
    }

    /// Takes a part of a checkpoint, in any order.
    pub(super) fn read(&mut self, part: u64, wire: &mut Wire<'_>) -> Option<()> {
        if part == TOTALS {
            self.bytes = wire.number()?;
            return Some(());
        }
        let segment = SegmentId(wire.number()?);
        let (bodies, bytes) = (wire.word()?, wire.number()?);
        let dead = (0..wire.count()?).map(|_| wire.word()).collect::<Option<_>>()?;
        self.shares.insert(BodyId(part), Share { segment, bodies, bytes, dead });
        let mut id = part;
        for _ in 0..wire.count()? {
            id = wire.number().and_then(|more| u64::checked_add(id, more))?;
            let key = BodyKey { id: BodyId(id), summary_len: wire.word()?, len: wire.word()? };
            self.fresh.push_back(Fresh { key, references: wire.word()? });
        }
        for _ in 0..wire.count()? {
            let id = wire.number().and_then(|more| u64::checked_add(part, more))?;
            self.shared.insert(BodyId(id), wire.word()?);
        }
        Some(())
    }

    /// All parts are there; none when they do not make one table.
    pub(super) fn finish_reading(&mut self) -> Option<()> {
        self.fresh.make_contiguous().sort_unstable_by_key(|fresh| fresh.key.id);
        let once = self.fresh.iter().zip(self.fresh.iter().skip(1)).all(|(a, b)| a.key.id < b.key.id);
        let placed =
            self.fresh.front().is_none_or(|oldest| self.shares.keys().next() <= Some(&oldest.key.id));
        (once && placed).then_some(())
    }

    /// What is dead, and in which order, is left out: it is as the log and the shares say, and whoever has cleared
    /// it away knows less.
    pub(super) fn digest(&self, digest: &mut Digest) {
        digest.word(self.bytes);
        let lengths = |key: BodyKey| u64::from(key.summary_len) << 32 | u64::from(key.len);
        for Fresh { key, references } in self.fresh.iter().filter(|fresh| fresh.references != GONE) {
            digest.word(key.id.0);
            digest.word(lengths(*key));
            digest.word(u64::from(*references));
        }
        for (id, references) in &self.shared {
            digest.word(id.0);
            digest.word(u64::from(*references));
        }
        for (first, share) in self.shares.iter().filter(|(_, share)| share.bodies > 0) {
            digest.word(first.0);
            digest.word(share.segment.0);
            digest.word(u64::from(share.bodies));
            digest.word(share.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: u64 = 2 * FRESH_SPAN_BYTES;

    fn key(id: u64) -> BodyKey {
        BodyKey { id: BodyId(id), summary_len: 6, len: 100 }
    }

    fn filled() -> Bodies {
        let mut bodies = Bodies::default();
        for n in 1..=9 {
            bodies.insert(key(1000 * n), SegmentId(1 + n / 4));
        }
        bodies
    }

    fn shares(bodies: &Bodies) -> Vec<(u64, u32, u64, Vec<u32>)> {
        let share =
            |(_, share): (&BodyId, &Share)| (share.segment.0, share.bodies, share.bytes, share.dead.clone());
        bodies.shares.iter().map(share).collect()
    }

    #[test]
    fn a_body_is_fresh_for_a_span_of_log_and_dies_unless_somebody_named_it() {
        let mut bodies = filled();
        bodies.reference(key(2000));
        bodies.advance(Lsn(3000 + FRESH_SPAN_BYTES));
        assert_eq!((bodies.fresh(BodyId(2000)), bodies.fresh(BodyId(2999))), (None, None));
        assert_eq!(bodies.fresh(BodyId(3000)), Some(key(3000)), "to the last byte of the span");
        bodies.advance(Lsn(FAR));
        assert_eq!(
            shares(&bodies),
            [(1, 1, 130, vec![0, 2000]), (2, 0, 0, vec![0, 1000, 2000, 3000]), (3, 0, 0, vec![0, 1000])]
        );
        assert_eq!(bodies.bytes(), 100);
    }

    #[test]
    fn what_a_segment_has_behind_a_position_is_known_by_counting() {
        let mut bodies = filled();
        let more = |bodies: &Bodies, before| bodies.has_more((SegmentId(2), Lsn(3500)), 6000, before);
        // 4000, 5000, 6000 and 7000 are of one segment.
        assert_eq!([1, 2, 3, 4].map(|before| more(&bodies, before)), [true, true, true, false]);
        for id in [4000, 6000] {
            bodies.reference(key(id));
            bodies.release(key(id));
        }
        assert_eq!([1, 2, 3].map(|before| more(&bodies, before)), [true, true, false]);
        bodies.reference(key(7000));
        bodies.release(key(7000));
        assert_eq!([1, 2].map(|before| more(&bodies, before)), [true, false], "5000 is all that is left");
        assert!(!bodies.has_more((SegmentId(1), Lsn(3500)), 3600, 0), "another's");
    }

    #[test]
    fn behind_a_loss_a_fresh_body_can_be_named_again_though_nobody_shows_it() {
        let mut bodies = filled();
        bodies.reference(key(1000));
        bodies.release(key(1000));
        bodies.hold_fresh();
        bodies.reference(key(2000));
        bodies.release(key(2000));
        assert_eq!((bodies.fresh(BodyId(1000)), bodies.fresh(BodyId(2000))), (None, Some(key(2000))));
        assert_eq!((bodies.bytes(), bodies.live_in(&(0..FAR))), (0, 8 * 130));
        bodies.reference(key(2000));
        bodies.reference(key(3000));
        bodies.release(key(3000));
        bodies.advance(Lsn(FAR));
        assert_eq!((bodies.bytes(), bodies.live_in(&(0..FAR))), (100, 130), "what nobody showed is dead");
        bodies.release(key(2000));
        assert_eq!(bodies.live_in(&(0..FAR)), 0);
    }

    #[test]
    fn the_last_reference_counts_wherever_it_was_taken() {
        let mut bodies = filled();
        for id in [1000, 1000, 1000, 2000, 4000, 5000] {
            bodies.reference(key(id));
        }
        bodies.release(key(5000));
        assert_eq!((bodies.bytes(), bodies.fresh(BodyId(5000))), (300, None), "fresh, and dead");
        bodies.advance(Lsn(FAR));
        assert_eq!(bodies.shared, BTreeMap::from([(BodyId(1000), 3)]), "one reference is not written down");
        bodies.reference(key(2000));
        for id in [1000, 1000, 2000] {
            bodies.release(key(id));
        }
        assert!(bodies.shared.is_empty());
        assert_eq!((bodies.bytes(), shares(&bodies)[0].1), (300, 2));
        bodies.release(key(2000));
        bodies.release(key(1000));
        assert_eq!((bodies.bytes(), shares(&bodies)[0].clone()), (100, (1, 0, 0, vec![2000, 1000, 0])));
    }
}
