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
//!  special use = u8, 0 is none                   maybe X = 0 or 1 u8 | X, all 0 (and a string empty) if none
//!  value   = length u32 | octets
//! ```
//! All integers are little-endian.

mod read;
mod write;

use bytes::Bytes;

use crate::change::{Change, Flags, NewMessage, Stamp, UidSet};
use crate::limits;
use read::Reader;
use write::Writer;

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
        Change::Append { .. } => 18,
        Change::Metadata { .. } => 19,
        Change::Acl { .. } => 20,
        Change::Quota { .. } => 21,
        Change::UrlKey { .. } => 22,
        Change::AccountHide { .. } => 23,
        Change::AccountReferral { .. } => 24,
        Change::Restore { .. } => 25,
        Change::Reap { .. } => 26,
        Change::MailboxAdopt { .. } => 32,
        Change::Import { .. } => 33,
        Change::SlotClaim { .. } => 38,
        Change::SlotLeave { .. } => 39,
        Change::AccountLeave => 40,
        Change::SlotClear { .. } => 41,
        Change::Distrust { .. } => 42,
        Change::Trust { .. } => 43,
        Change::Arrive(_) => 36,
        Change::Inherit(_) => 37,
        Change::Session { .. } => 44,
        Change::Read { .. } => 45,
    }
}

/// Whether a change can be encoded at all. What cannot is too large for any bound of `apply` as well.
pub fn fits(change: &Change) -> bool {
    let string = |text: &String| text.len() <= limits::RECORD_STRING_BYTES_MAX;
    let uids = |set: &UidSet| set.ranges().len() <= limits::RECORD_UID_RANGES_MAX;
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
        Change::Deliver { flags, .. } => flags_fit(flags),
        Change::FlagsStore { uids: set, flags, .. } => uids(set) && flags_fit(flags),
        Change::Copy { uids: set, .. }
        | Change::Expunge { uids: set, .. }
        | Change::Read { uids: set, .. } => uids(set),
        Change::Session { about } => about.fits(),
        Change::Append { messages, .. } => all_flags_fit(messages.iter()),
        Change::Import { messages, .. } => {
            messages.iter().all(|imported| imported.unique_id.as_ref().is_none_or(string))
                && all_flags_fit(messages.iter().map(|imported| &imported.message))
        }
        Change::Metadata { entries, .. } => {
            let bytes =
                |(name, value): &(String, Option<Bytes>)| name.len() + value.as_ref().map_or(0, Bytes::len);
            entries.len() <= limits::METADATA_ENTRIES_MAX
                && entries.iter().all(|(name, _)| string(name))
                && entries.iter().map(bytes).sum::<usize>() <= limits::METADATA_BYTES_MAX
        }
        Change::Acl { identifier, .. } => string(identifier),
        Change::AccountHide { capabilities } => {
            capabilities.len() <= limits::HIDDEN_CAPABILITIES_MAX && capabilities.iter().all(string)
        }
        Change::AccountReferral { url } => url.as_ref().is_none_or(string),
        Change::Restore { uids, .. } => uids.len() <= limits::RESTORE_MESSAGES_MAX,
        Change::Arrive(arrival) => arrival.fits(),
        Change::SlotClaim { claim } => {
            claim.fits()
                && claim.aliases.iter().all(|(name, targets)| string(name) && targets.iter().all(string))
        }
        Change::AccountServices { .. }
        | Change::AccountDelete
        | Change::AccountLeave
        | Change::SlotLeave { .. }
        | Change::SlotClear { .. }
        | Change::Inherit(_)
        | Change::Quota { .. }
        | Change::UrlKey { .. }
        | Change::MailboxDelete { .. }
        | Change::MailboxAdopt { .. }
        | Change::RecentSeen { .. }
        | Change::Reap { .. }
        | Change::Distrust { .. }
        | Change::Trust { .. } => true,
    }
}

fn flags_fit(flags: &Flags) -> bool {
    let string = |text: &String| text.len() <= limits::RECORD_STRING_BYTES_MAX;
    flags.keywords.len() <= limits::KEYWORDS_PER_MAILBOX_MAX && flags.keywords.iter().all(string)
}

fn all_flags_fit<'a>(messages: impl ExactSizeIterator<Item = &'a NewMessage> + Clone) -> bool {
    let bytes = |message: &NewMessage| message.flags.keywords.iter().map(String::len).sum::<usize>();
    messages.len() <= limits::APPEND_MESSAGES_MAX
        && messages.clone().all(|message| flags_fit(&message.flags))
        && messages.map(bytes).sum::<usize>() <= limits::APPEND_FLAG_BYTES_MAX
}

/// Appends the payload of a change that [`fits`].
pub fn encode(change: &Change, stamp: &Stamp, out: &mut Vec<u8>) {
    assert!(fits(change), "a change is encoded only after its size was judged");
    let mut out = Writer::new(out);
    out.stamp(stamp);
    out.change(change);
}

/// Reads a payload; none when it is malformed or of no known kind.
pub fn decode(kind: u8, payload: &[u8]) -> Option<(Change, Stamp)> {
    let mut input = Reader::new(payload);
    let stamp = input.stamp()?;
    let change = input.change(kind)?;
    input.is_at_end().then_some((change, stamp))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{
        Arrival, FlagBits, FlagOp, ImportedMessage, Inheritance, QuotaLimits, Rights, Services, SpecialUse,
        UniqueIdForm,
    };
    use crate::ids::{AccountId, BodyId, MailboxId, ModSeq, ShardId, Slot, Uid};
    use crate::origin::SessionInfo;
    use crate::owners::{Arrived, Claim};

    fn uids(ranges: &[(u32, u32)]) -> UidSet {
        UidSet::from_ranges(ranges.to_vec()).expect("canonical ranges")
    }

    fn flags() -> Flags {
        Flags {
            system: FlagBits::SEEN.union(FlagBits::DRAFT),
            keywords: vec!["$Forwarded".into(), "ö".into()],
        }
    }

    fn imported(uid: u32, unique_id: Option<&str>) -> ImportedMessage {
        let message = NewMessage { body: BodyId(u64::from(uid)), flags: flags(), internal_ms: 5 };
        ImportedMessage { uid: Uid(uid), message, unique_id: unique_id.map(str::to_owned) }
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
            Change::Append {
                mailbox,
                messages: (1..4)
                    .map(|n| NewMessage { body: BodyId(n), flags: flags(), internal_ms: n })
                    .collect(),
                replaces: Some((MailboxId(2), Uid(u32::MAX))),
            },
            Change::Append { mailbox, messages: Vec::new(), replaces: None },
            Change::Metadata {
                mailbox: Some(mailbox),
                entries: vec![
                    (text("/private/comment"), Some(Bytes::from_static(b"\0\xff"))),
                    (text("/shared/vendor/x"), Some(Bytes::new())),
                    (text("/shared/comment"), None),
                ],
            },
            Change::Metadata { mailbox: None, entries: Vec::new() },
            Change::Acl { mailbox, identifier: text("-b@x"), rights: Some(Rights::ALL) },
            Change::Acl { mailbox, identifier: text("anyone"), rights: None },
            Change::Quota {
                limits: QuotaLimits { storage_kib: Some(u64::MAX), messages: Some(0), mailboxes: None },
            },
            Change::UrlKey { mailbox: Some(mailbox) },
            Change::UrlKey { mailbox: None },
            Change::AccountHide { capabilities: vec![text("QRESYNC"), text("NOTIFY")] },
            Change::AccountReferral { url: Some(text("imap://a@b.test/")) },
            Change::AccountReferral { url: None },
            Change::Restore { of: AccountId(9), from: MailboxId(2), uids: uids(&[(7, 9)]), to: MailboxId(1) },
            Change::Reap { until_ms: 1 << 40 },
            Change::MailboxAdopt { mailbox, uid_validity: 7, unique_ids: UniqueIdForm::Dovecot },
            Change::MailboxAdopt { mailbox, uid_validity: 0, unique_ids: UniqueIdForm::Own },
            Change::Import {
                mailbox,
                messages: vec![imported(3, Some("odd-id")), imported(u32::MAX, None)],
                uid_next: Uid(9),
            },
            Change::Import { mailbox, messages: Vec::new(), uid_next: Uid(1) },
            Change::Arrive(Arrival::Subscriptions(vec![text("a"), text("ö")])),
            Change::Arrive(Arrival::Done { mailboxes: 1, messages: u64::MAX, bytes: 0 }),
            Change::Inherit(Inheritance { next_account: 1 << 40, uid_validity_floor: u32::MAX }),
            Change::SlotClaim {
                claim: Claim {
                    slot: Slot(4095),
                    epoch: 2,
                    accounts: vec![Arrived { account: AccountId(9), mailboxes: 1, messages: 2, bytes: 3 }],
                    aliases: vec![(text("a@x"), vec![text("b@x"), text("c@x")])],
                },
            },
            Change::SlotLeave { slot: Slot(1), epoch: 2, to: ShardId(3) },
            Change::AccountLeave,
            Change::SlotClear { slot: Slot(1), epoch: 2 },
            Change::Distrust { from: BodyId(40), until: BodyId(41) },
            Change::Trust { from: BodyId(40), until: BodyId(4096) },
            Change::Session { about: session() },
            Change::Session { about: SessionInfo::default() },
            Change::Read { of: AccountId(9), mailbox, uids: uids(&[(7, 9)]) },
        ]
    }

    fn session() -> SessionInfo {
        SessionInfo {
            service: "imap".into(),
            connection: u64::MAX,
            tls: true,
            peer: "2001:db8::1".into(),
            user: "a@x".into(),
            client: "Ünï 1".into(),
            opened_ms: 5,
        }
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
        assert_eq!(kinds, (1..=26).chain([32, 33]).chain(36..=45).collect::<Vec<u8>>());
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
        let restore = |last| Change::Restore {
            of: AccountId(1),
            from: MailboxId(1),
            uids: UidSet::from_ranges(vec![(1, last)]).expect("canonical ranges"),
            to: MailboxId(1),
        };
        let most = limits::RESTORE_MESSAGES_MAX as u32;
        assert!(fits(&restore(most)) && !fits(&restore(most + 1)));
        let message = NewMessage { body: BodyId(1), flags: Flags::default(), internal_ms: 0 };
        let append = |message: &NewMessage, count: usize| Change::Append {
            mailbox: MailboxId(1),
            messages: vec![message.clone(); count],
            replaces: None,
        };
        assert!(fits(&append(&message, limits::APPEND_MESSAGES_MAX)));
        assert!(!fits(&append(&message, limits::APPEND_MESSAGES_MAX + 1)));
        let keywords = vec!["k".repeat(limits::RECORD_STRING_BYTES_MAX); 10];
        let wordy = NewMessage { flags: Flags { keywords, ..Flags::default() }, ..message };
        assert!(fits(&append(&wordy, 1)) && !fits(&append(&wordy, 2)));
        let value = Some(Bytes::from(vec![0; limits::METADATA_BYTES_MAX / 2]));
        let entries = vec![("/shared/a".to_owned(), value.clone()), ("/shared/b".to_owned(), value)];
        assert!(!fits(&Change::Metadata { mailbox: None, entries }));
    }
}
