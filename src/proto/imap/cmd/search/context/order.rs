//! The client's list of a sorted search: who stands where.
//!
//! *Owns*: the sort key of every message in the list, and the list's order. *Promises*: a place is found, filled
//! or emptied by a walk over pieces, not messages; keys take at most `IMAP_CONTEXT_SORT_BYTES_MAX`. *Assumes*: a
//! message's key never changes, because messages do not. *Never*: makes a key.
//!
//! ```text
//!  keys:    UID ─► key                       places are counted from 0 here
//!  pieces:  [5 9 2] [7] [1 8 4 3]            UIDs by key, then UID (rfc5256#3); no piece is empty
//! ```

use std::collections::BTreeMap;

use ringpost_engine::change::UidSet;
use ringpost_engine::ids::Uid;

use crate::limits::IMAP_CONTEXT_SORT_BYTES_MAX;
use crate::proto::imap::command::{SortCriterion, SortKey};

/// UIDs in one piece: what an insertion moves, while the number of pieces is what finding a place walks over.
const PIECE_UIDS_MAX: usize = 512;
/// What a message costs beside the octets of its key: its slots in both tables, half full, and an allocation.
const ENTRY_BYTES: usize = 64;

/// Messages that stand one behind the other, and the first one's place.
pub type Run = (usize, Vec<Uid>);

/// See the module.
#[derive(Debug)]
pub struct Order {
    criteria: Vec<SortCriterion>,
    keys: BTreeMap<Uid, Box<[u8]>>,
    pieces: Vec<Vec<Uid>>,
    bytes: usize,
}

impl Order {
    /// Of an empty list.
    pub fn new(criteria: &[SortCriterion]) -> Order {
        Order { criteria: criteria.to_vec(), keys: BTreeMap::new(), pieces: Vec::new(), bytes: 0 }
    }

    /// What the list is sorted by.
    pub fn criteria(&self) -> &[SortCriterion] {
        &self.criteria
    }

    /// Whether keys are made of what only a message's summary tells.
    pub fn wants_summary(&self) -> bool {
        let in_index = [SortKey::Arrival, SortKey::Size, SortKey::Relevancy];
        self.criteria.iter().any(|criterion| !in_index.contains(&criterion.key))
    }

    /// Whether the list is within bounds.
    pub fn fits(&self) -> bool {
        self.bytes <= IMAP_CONTEXT_SORT_BYTES_MAX
    }

    /// Notes the key of a message that is put in its place later.
    pub fn note(&mut self, uid: Uid, key: Box<[u8]>) {
        self.bytes += ENTRY_BYTES + key.len();
        self.keys.insert(uid, key);
    }

    /// Puts a message, whose key is noted, behind all others.
    pub fn push(&mut self, uid: Uid) {
        match self.pieces.last_mut() {
            // Room is left for those that come between.
            Some(last) if last.len() < PIECE_UIDS_MAX / 2 => last.push(uid),
            _ => self.pieces.push(vec![uid]),
        }
    }

    /// Puts messages in their places: runs of them by the first one's place, so that each run finds the runs
    /// before it where they are.
    pub fn put_in(&mut self, keys: Vec<(Uid, Box<[u8]>)>) -> Vec<Run> {
        let uids: Vec<Uid> = keys.iter().map(|&(uid, _)| uid).collect();
        keys.into_iter().for_each(|(uid, key)| self.insert(uid, key));
        runs(self.places(uids.into_iter()), |_, place| place)
    }

    /// Takes messages out: runs of them by the place at which the first one stands once the runs before it are
    /// gone.
    pub fn take_out(&mut self, uids: &UidSet) -> Vec<Run> {
        let places = self.places(uids.iter());
        places.iter().for_each(|&(_, uid)| self.remove(uid));
        runs(places, |before, place| place - before)
    }

    /// Messages of the list by place, ascending.
    fn places(&self, uids: impl Iterator<Item = Uid>) -> Vec<(usize, Uid)> {
        let mut places: Vec<(usize, Uid)> =
            uids.filter_map(|uid| self.place(uid).map(|place| (place, uid))).collect();
        places.sort_unstable();
        places
    }

    /// Where a message stands; none if it does not.
    fn place(&self, uid: Uid) -> Option<usize> {
        let (piece, at) = self.find(uid)?;
        Some(self.pieces[..piece].iter().map(Vec::len).sum::<usize>() + at)
    }

    fn insert(&mut self, uid: Uid, key: Box<[u8]>) {
        if self.pieces.is_empty() {
            self.pieces.push(vec![uid]);
        } else {
            let piece = self.piece_of(uid, &key);
            let at = self.pieces[piece].partition_point(|&other| self.is_before(other, uid, &key));
            let uids = &mut self.pieces[piece];
            uids.insert(at, uid);
            if uids.len() > PIECE_UIDS_MAX {
                let upper = uids.split_off(PIECE_UIDS_MAX / 2);
                self.pieces.insert(piece + 1, upper);
            }
        }
        self.note(uid, key);
    }

    fn remove(&mut self, uid: Uid) {
        let Some((piece, at)) = self.find(uid) else { return };
        self.pieces[piece].remove(at);
        if self.pieces[piece].is_empty() {
            self.pieces.remove(piece);
        }
        if let Some(key) = self.keys.remove(&uid) {
            self.bytes -= ENTRY_BYTES + key.len();
        }
    }

    fn find(&self, uid: Uid) -> Option<(usize, usize)> {
        let key = self.keys.get(&uid)?;
        let piece = self.piece_of(uid, key);
        let uids = self.pieces.get(piece)?;
        let at = uids.partition_point(|&other| self.is_before(other, uid, key));
        (uids.get(at) == Some(&uid)).then_some((piece, at))
    }

    /// The last piece that does not begin behind a message, or the first one.
    fn piece_of(&self, uid: Uid, key: &[u8]) -> usize {
        let begins = |uids: &Vec<Uid>| uids.first().is_some_and(|&first| self.is_up_to(first, uid, key));
        self.pieces.partition_point(begins).saturating_sub(1)
    }

    fn is_before(&self, other: Uid, uid: Uid, key: &[u8]) -> bool {
        other != uid && self.is_up_to(other, uid, key)
    }

    /// Whether another message, whose key is noted, stands where this one does or before.
    fn is_up_to(&self, other: Uid, uid: Uid, key: &[u8]) -> bool {
        self.keys.get(&other).is_some_and(|known| (&**known, other) <= (key, uid))
    }
}

/// Runs of successive places, ascending; `first` says how a run's place is told, given how many are in the runs
/// before.
fn runs(places: Vec<(usize, Uid)>, first: impl Fn(usize, usize) -> usize) -> Vec<Run> {
    let mut before = 0;
    let run = |run: &[(usize, Uid)]| {
        let told = (first(before, run[0].0), run.iter().map(|&(_, uid)| uid).collect());
        before += run.len();
        told
    };
    places.chunk_by(|one, next| one.0 + 1 == next.0).map(run).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringpost_engine::testing::seed::Seed;

    fn order() -> Order {
        Order::new(&[SortCriterion { key: SortKey::Subject, reverse: false }])
    }

    #[test]
    fn places_are_those_of_a_sorted_list() {
        let mut seed = Seed::new(5);
        let key = |uid: u32| format!("{}", uid % 97).into_bytes();
        let mut list: Vec<(Vec<u8>, u32)> = (1..=1500).map(|uid| (key(uid), uid)).collect();
        list.sort();
        let mut order = order();
        list.iter().for_each(|(key, uid)| order.note(Uid(*uid), key.as_slice().into()));
        list.iter().for_each(|(_, uid)| order.push(Uid(*uid)));
        // Grows much at first, and is emptied in the end.
        for turn in 0..9000 {
            let grows = turn < 3000 && !seed.one_in(4);
            let uid = if grows { 1501 + turn } else { 1 + seed.below(4500) as u32 };
            let entry = (key(uid), uid);
            match list.binary_search(&entry) {
                Ok(at) => {
                    assert_eq!(order.take_out(&[Uid(uid)].into_iter().collect()), [(at, vec![Uid(uid)])]);
                    list.remove(at);
                }
                Err(at) if turn < 6000 => {
                    assert_eq!(
                        order.put_in(vec![(Uid(uid), entry.0.as_slice().into())]),
                        [(at, vec![Uid(uid)])]
                    );
                    list.insert(at, entry);
                }
                Err(_) => assert_eq!(order.place(Uid(uid)), None),
            }
            assert!(order.pieces.iter().all(|uids| (1..=PIECE_UIDS_MAX).contains(&uids.len())));
        }
        assert_eq!(order.pieces.concat(), list.iter().map(|&(_, uid)| Uid(uid)).collect::<Vec<_>>());
        let rest: UidSet = (1..=4500).map(Uid).collect();
        assert_eq!(order.take_out(&rest), [(0, list.iter().map(|&(_, uid)| Uid(uid)).collect())]);
        assert_eq!((order.bytes, order.pieces.len(), order.keys.len()), (0, 0, 0));
    }

    #[test]
    fn runs_are_told_in_the_order_in_which_they_are_done() {
        let mut order = order();
        let uids = |uids: &[u32]| uids.iter().copied().map(Uid).collect::<Vec<_>>();
        // Sorted the other way round than numbered.
        let keys = |list: &[u32]| list.iter().map(|&uid| (Uid(uid), [100 - uid as u8].into())).collect();
        assert_eq!(order.put_in(keys(&[1, 2, 3, 4, 7])), [(0, uids(&[7, 4, 3, 2, 1]))]);
        assert_eq!(order.put_in(keys(&[9, 5, 6, 8])), [(0, uids(&[9, 8])), (3, uids(&[6, 5]))]);
        let out = |order: &mut Order, list: &[u32]| order.take_out(&uids(list).into_iter().collect());
        assert_eq!(
            out(&mut order, &[9, 7, 6, 1, 20]),
            [(0, uids(&[9])), (1, uids(&[7, 6])), (5, uids(&[1]))]
        );
        assert_eq!(out(&mut order, &[2, 3, 4, 5, 8]), [(0, uids(&[8, 5, 4, 3, 2]))]);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut order = order();
        let kept = (1..).take_while(|&uid| {
            order.put_in(vec![(Uid(uid), [b'x'; 1 << 16].into())]);
            order.fits()
        });
        assert_eq!(kept.count(), IMAP_CONTEXT_SORT_BYTES_MAX / (ENTRY_BYTES + (1 << 16)));
        order.take_out(&[Uid(1)].into_iter().collect());
        assert!(order.fits());
    }
}
