//! Who asked for a change: sessions, as the log names them.
//!
//! *Owns*: what is written once of a session that changes something, and the number by which its changes name it.
//! *Promises*: a number leads to exactly one record, or to none when that one is gone; a change costs no byte more
//! for it. *Assumes*: nothing of a session but words. *Never*: matters to the index: replay looks at none of it.
//!
//! ```text
//!  log:   … | Session at 0x1a40 | … | FlagsStore, session 0x69 | … | Expunge, session 0x69 | …
//!                      └──────────── position / 64 ─────┘
//! ```

use std::ops::Range;

use crate::ids::{AccountId, Lsn, MailboxId, ShardId};
use crate::limits::SESSION_TEXT_BYTES_MAX;
use crate::uid_set::UidSet;

/// A session's record is longer than this many bytes, so that no two have the same number.
const STRIDE_BITS: u32 = 6;
/// A number is good for so many bytes of log behind the session's record; then the session is told anew.
pub const SESSION_SPAN_BYTES: u64 = 1 << (u32::BITS + STRIDE_BITS);

/// What the log says of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionInfo {
    /// What it speaks: `imap`, `pop3`, `admin`.
    pub service: String,
    /// The connection's number in the server's log lines; 0 if it has none.
    pub connection: u64,
    /// Whether TLS is on.
    pub tls: bool,
    /// The client's address, without port.
    pub peer: String,
    /// Who is logged in.
    pub user: String,
    /// What the client says it is.
    pub client: String,
    /// When it connected, milliseconds since 1970.
    pub opened_ms: u64,
}

impl SessionInfo {
    /// Whether each of its texts is within `SESSION_TEXT_BYTES_MAX`.
    pub fn fits(&self) -> bool {
        self.texts().iter().all(|text| text.len() <= SESSION_TEXT_BYTES_MAX)
    }

    /// The same with texts that are too long cut at a character.
    pub fn cut(mut self) -> SessionInfo {
        for text in [&mut self.service, &mut self.peer, &mut self.user, &mut self.client] {
            text.truncate(text.floor_char_boundary(SESSION_TEXT_BYTES_MAX));
        }
        self
    }

    fn texts(&self) -> [&String; 4] {
        [&self.service, &self.peer, &self.user, &self.client]
    }
}

/// How a session is known to one store. Each asks for its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Where the session's record is; 0 if there is none.
    at: Lsn,
    /// Which log that is a position of.
    shard: ShardId,
    /// How often that log had lost records to a full disk.
    drops: u32,
}

impl Origin {
    /// Nobody, or nobody knows who.
    pub const NONE: Origin = Origin { at: Lsn(0), shard: ShardId(0), drops: 0 };

    /// Of a session whose record is queued at this position.
    pub(crate) fn new(at: Lsn, shard: ShardId, drops: u32) -> Origin {
        Origin { at, shard, drops }
    }

    /// Whether a change that goes behind `next` can name it.
    pub(crate) fn is_good(self, next: Lsn, shard: ShardId, drops: u32) -> bool {
        // Half the span: what waits in between has room.
        let near = next.0.saturating_sub(self.at.0) < SESSION_SPAN_BYTES / 2;
        self.at != Lsn(0) && near && (self.shard, self.drops) == (shard, drops)
    }

    /// What its changes carry; 0 for nobody.
    pub fn number(self) -> u32 {
        session_number(self.at)
    }
}

/// The number of the session whose record is at this position. Never 0: each 64th byte of a block's beginning
/// belongs to a header.
pub fn session_number(at: Lsn) -> u32 {
    (at.0 >> STRIDE_BITS) as u32
}

/// Where the record of the session begins that a change at `change` names by its number: somewhere in these bytes.
pub fn record_before(change: Lsn, session: u32) -> Option<Range<Lsn>> {
    if session == 0 {
        return None;
    }
    let low = u64::from(session) << STRIDE_BITS;
    let nearest = change.0 & !(SESSION_SPAN_BYTES - 1) | low;
    let start = if nearest < change.0 { nearest } else { nearest.checked_sub(SESSION_SPAN_BYTES)? };
    Some(Lsn(start)..Lsn(start + (1 << STRIDE_BITS)))
}

/// Whether the session that a change at `change` names by its number is the one whose record is at `record`.
pub fn is_of_session(change: Lsn, session: u32, record: Lsn) -> bool {
    record < change && record_before(change, session).is_some_and(|place| place.contains(&record))
}

/// Messages that were read, on the way into the log.
#[derive(Clone, Debug)]
pub struct Reading {
    /// How the session is known to the store.
    pub by: Origin,
    /// Who it is, where the store does not know it.
    pub about: SessionInfo,
    /// Whose messages.
    pub of: AccountId,
    /// Where.
    pub mailbox: MailboxId,
    /// Which; at most `limits::RECORD_UID_RANGES_MAX` ranges.
    pub uids: UidSet,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_leads_to_one_record() {
        let at = Lsn(0x1a40);
        let number = session_number(at);
        assert_eq!(number, 0x69);
        assert!(is_of_session(Lsn(0x1b00), number, at));
        assert!(!is_of_session(Lsn(0x1b00), number + 1, at));
        assert!(!is_of_session(at, number, at), "a session's record comes first");
        assert!(
            !is_of_session(Lsn(at.0 + SESSION_SPAN_BYTES + 64), number, at),
            "the number was used again since"
        );
        assert!(!is_of_session(Lsn(5), 0, Lsn(0)));
        let far = Lsn(5 * SESSION_SPAN_BYTES - 100);
        let behind = Lsn(far.0 + 4096);
        assert!(is_of_session(behind, session_number(far), far), "across the end of a span");
        assert_eq!(record_before(Lsn(64), 7), None, "the log is not that long");
    }

    #[test]
    fn an_origin_is_good_in_its_log_until_records_are_lost_or_far() {
        let origin = Origin::new(Lsn(8192), ShardId(1), 0);
        assert!(origin.is_good(Lsn(9000), ShardId(1), 0));
        assert!(!origin.is_good(Lsn(9000), ShardId(2), 0));
        assert!(!origin.is_good(Lsn(9000), ShardId(1), 1));
        assert!(!origin.is_good(Lsn(8192 + SESSION_SPAN_BYTES / 2), ShardId(1), 0));
        assert!(!Origin::NONE.is_good(Lsn(9000), ShardId(0), 0));
        assert_eq!(Origin::NONE.number(), 0);
    }

    #[test]
    fn long_words_are_cut_at_a_character() {
        let client = "é".repeat(SESSION_TEXT_BYTES_MAX);
        let info = SessionInfo { client, ..SessionInfo::default() };
        assert!(!info.fits());
        let info = info.cut();
        assert!(info.fits() && info.client.len() >= SESSION_TEXT_BYTES_MAX - 1);
    }
}
