//! Conditional changes of flags by several sessions (rfc7162#3.1.3).
//!
//! *Owns*: every acknowledged STORE (UNCHANGEDSINCE) of the keyword that only such commands change.
//! *Promises*: of two that build on the same state at most one wins, and what won is what the store holds.

use std::collections::BTreeMap;

use ringpost_engine::index::{MailboxRef, Message};

use super::{Oracle, Place, Verdict, has_flag};

/// The keyword.
pub const TURN: &str = "Turn";

/// Of a message: each acknowledged change by the mod-sequence it builds on, with the one it made and whether
/// the keyword is set since.
pub(super) type Turns = BTreeMap<Place, BTreeMap<u64, (u64, bool)>>;

impl Oracle {
    /// The server said that the keyword is turned, over `base`, by the change `made`.
    pub fn turned(&mut self, place: &Place, base: u64, made: u64, on: bool) -> Verdict {
        self.count("turns");
        if made <= base {
            return Err(format!("{place:?}: a change over MODSEQ {base} made MODSEQ {made}"));
        }
        match self.turns.entry(place.clone()).or_default().insert(base, (made, on)) {
            None => Ok(()),
            Some(other) => {
                Err(format!("{place:?}: an update is lost: {other:?} and {made} both changed MODSEQ {base}"))
            }
        }
    }

    /// The server said that somebody else was first.
    pub fn turn_refused(&mut self) {
        self.count("turns refused");
    }

    pub(super) fn check_turns(&self, place: &Place, mailbox: MailboxRef<'_>, message: Message) -> Verdict {
        let Some((made, on)) = self.turns.get(place).and_then(|turns| turns.values().max()) else {
            return Ok(());
        };
        let (now, is_on) = (message.modseq.0, has_flag(mailbox, message.flags, TURN));
        if now < *made || (now == *made && is_on != *on) {
            return Err(format!("{place:?}: {TURN} is {is_on} at MODSEQ {now}, was {on} at {made}"));
        }
        Ok(())
    }
}
