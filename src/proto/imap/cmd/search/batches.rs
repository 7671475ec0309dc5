//! UIDBATCHES (rfc10022): the mailbox cut into batches of so many messages, from the highest UID downwards.
//!
//! *Owns*: where a batch begins and ends. *Promises*: batches leave no UID out, from the highest message's down
//! to 1, and every one but the last has exactly as many messages as asked for; costs a look at one place a
//! batch, whatever is in it. *Assumes*: the view. *Never*: goes through messages, touches `$`
//! (rfc10022#3.1).
//!
//! ```text
//!  UIDs:    4   7   8   9 · · 12  15            places 0..6, batches of 2
//!        ──3────┘   └──2──────┘ └─1─┘            15:12, 11:8, 7:1
//! ```

use bytes::{Bytes, BytesMut};
use ringpost_engine::ids::Uid;

use crate::limits::{IMAP_UID_BATCH_MESSAGES_MIN, IMAP_UID_BATCHES_MAX};
use crate::proto::Cx;
use crate::proto::imap::command::UidBatches;
use crate::proto::imap::reply::{self, Reply};
use crate::proto::imap::state::{Core, Step};

/// See the module.
#[derive(Debug)]
pub struct Batches {
    command: UidBatches,
    tag: Bytes,
}

impl Batches {
    /// A command that has not begun.
    pub fn new(command: UidBatches, tag: Bytes) -> Batches {
        Batches { command, tag }
    }

    /// Goes on: one step does it all, for the reply has its bound.
    pub fn step(&self, core: &mut Core, cx: &Cx<'_>) -> Step {
        if !core.out.has_room() {
            return Step::Room;
        }
        match self.reply(core, cx) {
            Ok(line) => {
                core.out.put(&line);
                core.out.line("");
                Reply::done().into()
            }
            Err(refusal) => refusal.into(),
        }
    }

    fn reply(&self, core: &Core, cx: &Cx<'_>) -> Result<BytesMut, Reply> {
        let UidBatches { size, wanted } = self.command;
        if size < IMAP_UID_BATCH_MESSAGES_MIN {
            // rfc10022#3.1.3
            return Err(Reply::no(format!("[TOOFEW] The smallest batch is {IMAP_UID_BATCH_MESSAGES_MIN}")));
        }
        let (view, mailbox) = core.selected(cx)?;
        let messages = mailbox.rank(view.horizon());
        let count = messages.div_ceil(size as usize);
        let asked = wanted.map_or(count, |(first, last)| (last - first) as usize + 1);
        if asked > IMAP_UID_BATCHES_MAX as usize {
            // rfc10022#3.1.5
            return Err(Reply::no(format!("[TOOMANY] At most {IMAP_UID_BATCHES_MAX} batches at a time")));
        }
        let (first, last) = wanted.map_or((0, count), |(first, last)| (first as usize - 1, last as usize));
        let mut line = BytesMut::from(&b"* UIDBATCHES (TAG \""[..]);
        line.extend_from_slice(&self.tag);
        line.extend_from_slice(b"\")");
        let uid = |place: usize| mailbox.message(place).uid;
        for batch in first..last.min(count) {
            let (low, high) = batch_at(messages, size as usize, batch, uid);
            line.extend_from_slice(if batch == first { b" " } else { b"," });
            reply::number(&mut line, u64::from(high.0));
            line.extend_from_slice(b":");
            reply::number(&mut line, u64::from(low.0));
        }
        Ok(line)
    }
}

/// The lowest and highest UID of a batch, counted from 0, that has a message.
fn batch_at(messages: usize, size: usize, batch: usize, uid: impl Fn(usize) -> Uid) -> (Uid, Uid) {
    // One past the place of its highest message.
    let end = messages - batch * size;
    let low = if end > size { uid(end - size) } else { Uid(1) };
    // A gap between two batches belongs to the lower one.
    let high = if batch == 0 { uid(end - 1) } else { Uid(uid(end).0 - 1) };
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches(uids: &[u32], size: usize) -> Vec<(u32, u32)> {
        let batch = |batch| batch_at(uids.len(), size, batch, |place| Uid(uids[place]));
        (0..uids.len().div_ceil(size)).map(batch).map(|(low, high)| (high.0, low.0)).collect()
    }

    #[test]
    fn batches_leave_no_uid_out() {
        assert_eq!(batches(&[1, 4, 7, 8, 9, 12, 15], 2), [(15, 12), (11, 8), (7, 4), (3, 1)]);
        assert_eq!(batches(&[4, 7, 8, 9, 12, 15], 2), [(15, 12), (11, 8), (7, 1)]);
        assert_eq!(batches(&[4, 7, 8], 3), [(8, 1)]);
        assert_eq!(batches(&[u32::MAX], 500), [(u32::MAX, 1)]);
        assert!(batches(&[], 500).is_empty());
        for size in 1..12 {
            let uids: Vec<u32> = (1..40).filter(|uid| uid % 3 != 0).collect();
            let made = batches(&uids, size);
            let held =
                |&(high, low): &(u32, u32)| uids.iter().filter(|uid| (low..=high).contains(uid)).count();
            assert_eq!((made[0].0, made[made.len() - 1].1), (38, 1));
            assert!(made.windows(2).all(|two| two[1].0 + 1 == two[0].1), "{made:?}");
            assert!(made[..made.len() - 1].iter().all(|batch| held(batch) == size), "{made:?}");
        }
    }
}
