//! What a mailbox lacks of what a folder has.
//!
//! *Owns*: telling which messages are the same. *Promises*: each message here stands for one there. *Assumes*: all of
//! both are told. *Never*: does anything about it.
//!
//! A message is there if the mailbox has
//! * the same UID under the same UIDVALIDITY, as many octets and the same INTERNALDATE (another server may have given
//!   out both to a message of its own), or
//! * the same octets in the same log (it came back from what was removed, or was moved back): the same number, and
//!   since a log goes on in two ways where a backup is served while its own store is, too, as many octets and the
//!   same INTERNALDATE, or
//! * one of the two unique-ids that this gives to messages that it sends under new UIDs. Which of them depends on what
//!   the mailbox had at that time, so both are looked for.
//!
//! A message that is hidden because its octets are not what was written stands for none.

use std::collections::{BTreeMap, BTreeSet};

use super::super::here::Held;

/// A message there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its place in the mailbox.
    pub place: usize,
    /// UID.
    pub uid: u32,
    /// Octets.
    pub size: u32,
    /// INTERNALDATE, milliseconds since 1970.
    pub internal_ms: u64,
    /// The number in its EMAILID.
    pub body: u64,
}

/// What of both sides can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Same {
    /// UIDs name the same messages.
    pub uids: bool,
    /// So do numbers in EMAILIDs.
    pub bodies: bool,
}

/// Pairs of messages there and here, and the messages there that have none here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// By their places in the two lists.
    pub pairs: Vec<(usize, usize)>,
    /// By their places in the first.
    pub missing: Vec<usize>,
}

/// Compares.
pub fn compare(there: &[Kept], here: &[Held], same: Same, name: &dyn Fn(&Kept, bool) -> String) -> Compared {
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    let mut left: BTreeSet<usize> = (0..there.len()).collect();
    let mut free: BTreeSet<usize> = (0..here.len()).filter(|&at| !here[at].hidden).collect();
    if same.uids {
        let by_uid: BTreeMap<u32, usize> =
            here.iter().enumerate().map(|(nth, held)| (held.uid, nth)).collect();
        for (nth, kept) in there.iter().enumerate() {
            let same = |held: &Held| (held.size, held.internal_ms) == (kept.size, kept.internal_ms);
            if let Some(&at) = by_uid.get(&kept.uid).filter(|at| free.contains(at) && same(&here[**at])) {
                pairs.push((nth, at));
                left.remove(&nth);
                free.remove(&at);
            }
        }
    }
    let mut pair = |of_there: &dyn Fn(&Kept) -> String, of_here: &dyn Fn(&Held) -> Option<String>| {
        let mut found: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for &at in free.iter().rev() {
            if let Some(key) = of_here(&here[at]) {
                found.entry(key).or_default().push(at);
            }
        }
        left.retain(|&nth| match found.get_mut(&of_there(&there[nth])).and_then(Vec::pop) {
            Some(at) => {
                free.remove(&at);
                pairs.push((nth, at));
                false
            }
            None => true,
        });
    };
    if same.bodies {
        let key = |body: u64, size: u32, internal_ms: u64| format!("{body} {size} {internal_ms}");
        let here = |held: &Held| Some(key(held.body, held.size, held.internal_ms));
        pair(&|kept| key(kept.body, kept.size, kept.internal_ms), &here);
    }
    for is_taken in [false, true] {
        pair(&|kept| name(kept, is_taken), &|held| held.unique_id.clone());
    }
    Compared { pairs, missing: left.into_iter().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(uid: u32, body: u64) -> Kept {
        Kept { place: uid as usize, uid, size: 5, internal_ms: 7_000, body }
    }

    fn held(uid: u32, body: u64, unique_id: Option<&str>) -> Held {
        let unique_id = unique_id.map(str::to_owned);
        let flags = Vec::new();
        Held { uid, size: 5, internal_ms: 7_000, body, saved_ms: 0, flags, unique_id, hidden: false }
    }

    fn missing(there: &[Kept], here: &[Held], uids: bool, bodies: bool) -> Vec<u32> {
        let compared = compare(there, here, Same { uids, bodies }, &|kept, is_taken| {
            format!("u{}{}", kept.uid, if is_taken { "L" } else { "" })
        });
        assert_eq!(compared.pairs.len() + compared.missing.len(), there.len());
        compared.missing.into_iter().map(|nth| there[nth].uid).collect()
    }

    #[test]
    fn messages_are_known_by_uid_octets_or_the_name_they_were_given() {
        let there = [kept(1, 10), kept(2, 20), kept(3, 30), kept(4, 30)];
        let here = [held(1, 99, None), held(8, 30, None), held(9, 98, Some("u2"))];
        assert_eq!(missing(&there, &here, true, true), [4], "octets stand for one only");
        assert_eq!(missing(&there, &here, false, false), [1, 3, 4]);
        assert_eq!(missing(&there, &here, true, false), [3, 4]);
        let sent = [held(1, 97, Some("u1L")), held(2, 96, Some("u2"))];
        assert_eq!(missing(&there[..2], &sent, false, false), [] as [u32; 0], "by either of the names");
        for other in [Held { size: 6, ..held(1, 99, None) }, Held { internal_ms: 8_000, ..held(1, 99, None) }]
        {
            assert_eq!(missing(&there[..1], &[other], true, false), [1], "another message has the UID");
        }
        assert_eq!(missing(&[], &here, true, true), [] as [u32; 0]);
    }

    #[test]
    fn the_number_of_octets_that_went_another_way_is_not_enough() {
        let there = [kept(7, 10)];
        let same = held(1, 10, None);
        assert_eq!(missing(&there, std::slice::from_ref(&same), false, true), [] as [u32; 0]);
        for other in [Held { size: 6, ..same.clone() }, Held { internal_ms: 7_001, ..same }] {
            assert_eq!(missing(&there, &[other], false, true), [7]);
        }
    }

    #[test]
    fn a_hidden_message_stands_for_none() {
        let there = [kept(1, 10)];
        let rotten = Held { hidden: true, ..held(1, 10, Some("u1")) };
        assert_eq!(missing(&there, std::slice::from_ref(&rotten), true, true), [1]);
        let sent = [rotten, held(2, 11, Some("u1L"))];
        assert_eq!(missing(&there, &sent, true, true), [] as [u32; 0], "it was brought back");
    }
}
