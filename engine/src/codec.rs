//! Changes as bytes.
//!
//! *Owns*: the payload of a change record, byte by byte. *Promises*: `decode(kind, encode(c))` is `c` for
//! whatever [`fits`]; every length is checked against what is there before anything is allocated for it.
//! *Assumes*: the log frames and checksums the payload. *Never*: judges a change; that is `apply`'s work.
//!
//! ```text
//!  payload = time_ms u64 | modseq u64 | uid_first u32 | mailbox_first u32 | fields of the kind, in order
//!  string  = length u16 | UTF-8                  list  = count u32 | items
//!  uids    = count u32 | (first u32 | last u32)* flags = system u64 | list of string
//!  special use = u8, 0 is none                   unchanged since = 0 or 1 u8 | u64, 0 if none
//! ```
//! All integers are little-endian.

use crate::change::{Change, FlagBits, FlagOp, Flags, Services, SpecialUse, Stamp, UidSet};
use crate::ids::{BodyId, MailboxId, ModSeq, Uid};
use crate::limits;

/// The kind of padding: no change has it.
pub const KIND_PADDING: u8 = 0;
/// The kind of a body record: no change has it.
pub const KIND_BODY: u8 = 255;

/// The kind of a change's record, 1 and up. Fixed for ever once released.
pub fn kind(change: &Change) -> u8 {
    match change {
        Change::AccountCreate { .. } => 1,
        Change::AccountPassword { .. } => 2,
        Change::AccountServices { .. } => 3,
        Change::AccountDelete => 4,
        Change::DomainAdd { .. } => 5,
        Change::DomainDelete { .. } => 6,
        Change::AliasSet { .. } => 7,
        Change::AliasDelete { .. } => 8,
        Change::MailboxCreate { .. } => 9,
        Change::MailboxRename { .. } => 10,
        Change::MailboxDelete { .. } => 11,
        Change::Subscribe { .. } => 12,
        Change::Deliver { .. } => 13,
        Change::FlagsStore { .. } => 14,
        Change::Copy { .. } => 15,
        Change::Expunge { .. } => 16,
        Change::RecentSeen { .. } => 17,
    }
}

/// Whether a change can be encoded at all. What cannot is too large for any bound of `apply` as well.
pub fn fits(change: &Change) -> bool {
    let string = |text: &String| text.len() <= limits::RECORD_STRING_BYTES_MAX;
    let uids = |set: &UidSet| set.ranges().len() <= limits::RECORD_UID_RANGES_MAX;
    let flags = |flags: &Flags| {
        flags.keywords.len() <= limits::KEYWORDS_PER_MAILBOX_MAX && flags.keywords.iter().all(string)
    };
    match change {
        Change::AccountCreate { address, password_hash, mailboxes, .. } => {
            string(address)
                && string(password_hash)
                && mailboxes.len() <= limits::MAILBOXES_PER_ACCOUNT_MAX
                && mailboxes.iter().all(|(name, _)| string(name))
        }
        Change::AccountPassword { password_hash: text }
        | Change::DomainAdd { name: text }
        | Change::DomainDelete { name: text }
        | Change::AliasDelete { address: text }
        | Change::MailboxCreate { name: text, .. }
        | Change::MailboxRename { to: text, .. }
        | Change::Subscribe { name: text, .. } => string(text),
        Change::AliasSet { address, targets } => {
            string(address) && targets.len() <= limits::ALIAS_TARGETS_MAX && targets.iter().all(string)
        }
        Change::Deliver { flags: named, .. } => flags(named),
        Change::FlagsStore { uids: set, flags: named, .. } => uids(set) && flags(named),
        Change::Copy { uids: set, .. } | Change::Expunge { uids: set, .. } => uids(set),
        Change::AccountServices { .. }
        | Change::AccountDelete
        | Change::MailboxDelete { .. }
        | Change::RecentSeen { .. } => true,
    }
}

/// Appends the payload of a change that [`fits`].
pub fn encode(change: &Change, stamp: &Stamp, out: &mut Vec<u8>) {
    assert!(fits(change), "a change is encoded only after its size was judged");
    let mut out = Writer { out };
    out.u64(stamp.time_ms);
    out.u64(stamp.modseq.0);
    out.u32(stamp.uid_first.0);
    out.u32(stamp.mailbox_first.0);
    out.change(change);
}

/// Reads a payload; none when it is malformed or of no known kind.
pub fn decode(kind: u8, payload: &[u8]) -> Option<(Change, Stamp)> {
    let mut input = Reader { rest: payload };
    let stamp = Stamp {
        time_ms: input.u64()?,
        modseq: ModSeq(input.u64()?),
        uid_first: Uid(input.u32()?),
        mailbox_first: MailboxId(input.u32()?),
    };
    let change = if kind <= 8 { input.directory_change(kind)? } else { input.mailbox_change(kind)? };
    input.rest.is_empty().then_some((change, stamp))
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl Writer<'_> {
    fn change(&mut self, change: &Change) {
        match change {
            Change::AccountCreate { address, password_hash, services, mailboxes } => {
                self.string(address);
                self.string(password_hash);
                self.u8(services.0);
                self.u32(mailboxes.len() as u32);
                for (name, special_use) in mailboxes {
                    self.string(name);
                    self.special_use(*special_use);
                }
            }
            Change::AccountPassword { password_hash } => self.string(password_hash),
            Change::AccountServices { services } => self.u8(services.0),
            Change::DomainAdd { name } | Change::DomainDelete { name } => self.string(name),
            Change::AliasSet { address, targets } => {
                self.string(address);
                self.strings(targets);
            }
            Change::AliasDelete { address } => self.string(address),
            Change::AccountDelete => {}
            Change::MailboxCreate { name, special_use } => {
                self.string(name);
                self.special_use(*special_use);
            }
            Change::MailboxRename { mailbox, to } => {
                self.u32(mailbox.0);
                self.string(to);
            }
            Change::MailboxDelete { mailbox } => self.u32(mailbox.0),
            Change::Subscribe { name, on } => {
                self.string(name);
                self.u8(u8::from(*on));
            }
            Change::Deliver { mailbox, body, flags, internal_ms } => {
                self.u32(mailbox.0);
                self.u64(body.0);
                self.flags(flags);
                self.u64(*internal_ms);
            }
            Change::FlagsStore { mailbox, uids, op, flags, unchanged_since } => {
                self.u32(mailbox.0);
                self.uids(uids);
                self.u8(*op as u8);
                self.flags(flags);
                self.u8(u8::from(unchanged_since.is_some()));
                self.u64(unchanged_since.map_or(0, |since| since.0));
            }
            Change::Copy { from, to, uids, expunge } => {
                self.u32(from.0);
                self.u32(to.0);
                self.uids(uids);
                self.u8(u8::from(*expunge));
            }
            Change::Expunge { mailbox, uids, only_deleted } => {
                self.u32(mailbox.0);
                self.uids(uids);
                self.u8(u8::from(*only_deleted));
            }
            Change::RecentSeen { mailbox, below } => {
                self.u32(mailbox.0);
                self.u32(below.0);
            }
        }
    }

    fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    fn u32(&mut self, value: u32) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    fn string(&mut self, text: &str) {
        self.out.extend_from_slice(&(text.len() as u16).to_le_bytes());
        self.out.extend_from_slice(text.as_bytes());
    }

    fn strings(&mut self, texts: &[String]) {
        self.u32(texts.len() as u32);
        for text in texts {
            self.string(text);
        }
    }

    fn special_use(&mut self, special_use: Option<SpecialUse>) {
        self.u8(special_use.map_or(0, |special_use| special_use as u8));
    }

    fn flags(&mut self, flags: &Flags) {
        self.u64(flags.system.0);
        self.strings(&flags.keywords);
    }

    fn uids(&mut self, uids: &UidSet) {
        self.u32(uids.ranges().len() as u32);
        for &(first, last) in uids.ranges() {
            self.u32(first);
            self.u32(last);
        }
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn directory_change(&mut self, kind: u8) -> Option<Change> {
        Some(match kind {
            1 => Change::AccountCreate {
                address: self.string()?,
                password_hash: self.string()?,
                services: Services(self.u8()?),
                mailboxes: {
                    let count = self.count(limits::MAILBOXES_PER_ACCOUNT_MAX, 3)?;
                    let mut mailboxes = Vec::with_capacity(count);
                    for _ in 0..count {
                        mailboxes.push((self.string()?, self.special_use()?));
                    }
                    mailboxes
                },
            },
            2 => Change::AccountPassword { password_hash: self.string()? },
            3 => Change::AccountServices { services: Services(self.u8()?) },
            4 => Change::AccountDelete,
            5 => Change::DomainAdd { name: self.string()? },
            6 => Change::DomainDelete { name: self.string()? },
            7 => Change::AliasSet {
                address: self.string()?,
                targets: self.strings(limits::ALIAS_TARGETS_MAX)?,
            },
            8 => Change::AliasDelete { address: self.string()? },
            _ => return None,
        })
    }

    fn mailbox_change(&mut self, kind: u8) -> Option<Change> {
        Some(match kind {
            9 => Change::MailboxCreate { name: self.string()?, special_use: self.special_use()? },
            10 => Change::MailboxRename { mailbox: self.mailbox()?, to: self.string()? },
            11 => Change::MailboxDelete { mailbox: self.mailbox()? },
            12 => Change::Subscribe { name: self.string()?, on: self.bool()? },
            13 => Change::Deliver {
                mailbox: self.mailbox()?,
                body: BodyId(self.u64()?),
                flags: self.flags()?,
                internal_ms: self.u64()?,
            },
            14 => Change::FlagsStore {
                mailbox: self.mailbox()?,
                uids: self.uids()?,
                op: self.flag_op()?,
                flags: self.flags()?,
                unchanged_since: match (self.bool()?, self.u64()?) {
                    (true, since) => Some(ModSeq(since)),
                    (false, 0) => None,
                    (false, _) => return None,
                },
            },
            15 => Change::Copy {
                from: self.mailbox()?,
                to: self.mailbox()?,
                uids: self.uids()?,
                expunge: self.bool()?,
            },
            16 => {
                Change::Expunge { mailbox: self.mailbox()?, uids: self.uids()?, only_deleted: self.bool()? }
            }
            17 => Change::RecentSeen { mailbox: self.mailbox()?, below: Uid(self.u32()?) },
            _ => return None,
        })
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn bool(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// A count of items of at least `item_bytes` each: within its bound and within what is left.
    fn count(&mut self, max: usize, item_bytes: usize) -> Option<usize> {
        let count = self.u32()? as usize;
        (count <= max && count <= self.rest.len() / item_bytes).then_some(count)
    }

    fn string(&mut self) -> Option<String> {
        let len = self.array().map(u16::from_le_bytes)?;
        std::str::from_utf8(self.take(usize::from(len))?).ok().map(str::to_owned)
    }

    fn strings(&mut self, max: usize) -> Option<Vec<String>> {
        let count = self.count(max, 2)?;
        let mut strings = Vec::with_capacity(count);
        for _ in 0..count {
            strings.push(self.string()?);
        }
        Some(strings)
    }

    fn mailbox(&mut self) -> Option<MailboxId> {
        self.u32().map(MailboxId)
    }

    fn special_use(&mut self) -> Option<Option<SpecialUse>> {
        Some(Some(match self.u8()? {
            0 => return Some(None),
            1 => SpecialUse::Archive,
            2 => SpecialUse::Drafts,
            3 => SpecialUse::Junk,
            4 => SpecialUse::Sent,
            5 => SpecialUse::Trash,
            6 => SpecialUse::Flagged,
            7 => SpecialUse::All,
            _ => return None,
        }))
    }

    fn flag_op(&mut self) -> Option<FlagOp> {
        match self.u8()? {
            0 => Some(FlagOp::Replace),
            1 => Some(FlagOp::Add),
            2 => Some(FlagOp::Remove),
            _ => None,
        }
    }

    fn flags(&mut self) -> Option<Flags> {
        Some(Flags {
            system: FlagBits(self.u64()?),
            keywords: self.strings(limits::KEYWORDS_PER_MAILBOX_MAX)?,
        })
    }

    fn uids(&mut self) -> Option<UidSet> {
        let count = self.count(limits::RECORD_UID_RANGES_MAX, 8)?;
        let mut ranges = Vec::with_capacity(count);
        for _ in 0..count {
            ranges.push((self.u32()?, self.u32()?));
        }
        UidSet::from_ranges(ranges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uids(ranges: &[(u32, u32)]) -> UidSet {
        UidSet::from_ranges(ranges.to_vec()).expect("canonical ranges")
    }

    fn flags() -> Flags {
        Flags {
            system: FlagBits::SEEN.union(FlagBits::DRAFT),
            keywords: vec!["$Forwarded".into(), "ö".into()],
        }
    }

    /// At least one of every kind, edge values included.
    fn samples() -> Vec<Change> {
        let text = String::from;
        let mailbox = MailboxId(u32::MAX);
        vec![
            Change::AccountCreate {
                address: text("a@example.test"),
                password_hash: text("$argon2id$x"),
                services: Services::ALL,
                mailboxes: vec![(text("Sent"), Some(SpecialUse::Sent)), (text("Ünï/x"), None)],
            },
            Change::AccountPassword { password_hash: text("") },
            Change::AccountServices { services: Services::POP3 },
            Change::AccountDelete,
            Change::DomainAdd { name: text("example.test") },
            Change::DomainDelete { name: "x".repeat(limits::RECORD_STRING_BYTES_MAX) },
            Change::AliasSet { address: text("b@x"), targets: vec![text("a@x"), text("c@x")] },
            Change::AliasDelete { address: text("b@x") },
            Change::MailboxCreate { name: text("a/b"), special_use: Some(SpecialUse::All) },
            Change::MailboxRename { mailbox, to: text("c") },
            Change::MailboxDelete { mailbox },
            Change::Subscribe { name: text("a"), on: true },
            Change::Deliver { mailbox, body: BodyId(u64::MAX), flags: flags(), internal_ms: 1 },
            Change::FlagsStore {
                mailbox,
                uids: uids(&[(1, 1), (3, u32::MAX)]),
                op: FlagOp::Remove,
                flags: flags(),
                unchanged_since: Some(ModSeq(0)),
            },
            Change::FlagsStore {
                mailbox,
                uids: UidSet::new(),
                op: FlagOp::Replace,
                flags: Flags::default(),
                unchanged_since: None,
            },
            Change::Copy { from: mailbox, to: MailboxId(1), uids: uids(&[(7, 9)]), expunge: true },
            Change::Expunge { mailbox, uids: uids(&[(7, 9)]), only_deleted: false },
            Change::RecentSeen { mailbox, below: Uid(4) },
        ]
    }

    fn stamp() -> Stamp {
        Stamp { time_ms: u64::MAX, modseq: ModSeq(3), uid_first: Uid(2), mailbox_first: MailboxId(9) }
    }

    fn encoded(change: &Change) -> Vec<u8> {
        let mut out = Vec::new();
        encode(change, &stamp(), &mut out);
        out
    }

    #[test]
    fn every_kind_comes_back_as_it_went() {
        let mut kinds: Vec<u8> = Vec::new();
        for change in samples() {
            assert_eq!(decode(kind(&change), &encoded(&change)), Some((change.clone(), stamp())));
            kinds.push(kind(&change));
        }
        kinds.dedup();
        assert_eq!(kinds, (1..=17).collect::<Vec<u8>>());
    }

    #[test]
    fn a_cut_or_lengthened_payload_is_malformed() {
        for change in samples() {
            let whole = encoded(&change);
            let step = whole.len() / 200 + 1;
            for len in (0..whole.len()).step_by(step) {
                assert_eq!(decode(kind(&change), &whole[..len]), None, "{change:?} cut to {len}");
            }
            assert_eq!(decode(kind(&change), &[whole.as_slice(), b"x"].concat()), None);
        }
    }

    #[test]
    fn no_byte_pattern_panics_or_asks_for_memory() {
        for change in samples() {
            let whole = encoded(&change);
            for at in 0..whole.len().min(200) {
                for value in [0, 1, 0x7f, 0x80, 0xff] {
                    let mut bent = whole.clone();
                    bent[at] = value;
                    for kind in 0..=u8::MAX {
                        let _ = decode(kind, &bent);
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_too_large_does_not_fit() {
        let long = "x".repeat(limits::RECORD_STRING_BYTES_MAX + 1);
        assert!(!fits(&Change::DomainAdd { name: long.clone() }));
        assert!(!fits(&Change::AliasSet { address: "a".into(), targets: vec![long] }));
        assert!(!fits(&Change::AliasSet { address: "a".into(), targets: vec!["b".into(); 101] }));
        let sparse = UidSet::from_ranges(
            (0..=limits::RECORD_UID_RANGES_MAX as u32).map(|i| (2 * i + 1, 2 * i + 1)).collect(),
        );
        let uids = sparse.expect("canonical ranges");
        assert!(!fits(&Change::Expunge { mailbox: MailboxId(1), uids, only_deleted: true }));
    }
}
