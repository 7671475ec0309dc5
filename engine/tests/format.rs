//! The tables of `engine/README.md` are the bytes: who reads a log by them reads it right.

use bytes::Bytes;
use ringpost_engine::change::{
    Change, FlagBits, FlagOp, Flags, ImportedMessage, NewMessage, QuotaLimits, Rights, Services, SpecialUse,
    Stamp, UidSet, UniqueIdForm,
};
use ringpost_engine::codec;
use ringpost_engine::ids::{AccountId, BodyId, Lsn, MailboxId, ModSeq, SegmentId, ShardId, Uid};
use ringpost_engine::log::batch::{BatchMeta, LogIdentity};
use ringpost_engine::log::record::{RecordHead, RecordMeta};
use ringpost_engine::log::segment::{LogPoint, SegmentMeta};
use ringpost_engine::origin::SessionInfo;
use zerocopy::IntoBytes;

const LOG: LogIdentity = LogIdentity { shard: ShardId(0x0102), log_key: 0x1112_1314_1516_1718 };

/// Offset, length and name of each row of the table under a heading.
fn rows(heading: &str) -> Vec<(usize, usize, String)> {
    let text = include_str!("../README.md");
    let section = text.split(heading).nth(1).expect("the heading is there");
    let section = section.split("\n### ").next().unwrap_or(section);
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| ")?.split('|').map(str::trim);
        let number = |cell: Option<&str>| cell?.parse().ok();
        Some((number(cells.next())?, number(cells.next())?, cells.next()?.to_owned()))
    };
    section.lines().filter_map(row).collect()
}

/// Every row is one of `fields` and has its value, little-endian; the rows follow one another without gaps.
fn agree(heading: &str, bytes: &[u8], fields: &[(&str, u64)]) {
    let mut next = 0;
    for (offset, len, name) in rows(heading) {
        assert_eq!(offset, next, "{heading} {name:?} begins where the row before ends");
        next = offset + len;
        let Some(held) = bytes.get(offset..offset + len) else { continue }; // the zeroes behind a header
        if name.is_empty() {
            assert!(held.iter().all(|&byte| byte == 0), "{heading}: zero at {offset}");
            continue;
        }
        let (_, value) = fields.iter().find(|(field, _)| *field == name).expect(&name);
        assert_eq!(held, &value.to_le_bytes()[..len], "{heading} {name:?}");
    }
    let named =
        rows(heading).iter().filter(|(offset, _, name)| *offset < bytes.len() && !name.is_empty()).count();
    assert_eq!(named, fields.len(), "{heading}: every field is in the table");
}

#[test]
fn a_segment_header_is_as_drawn() {
    let prev = LogPoint { segment: SegmentId(4), end: Lsn(8192), sequence: 9, crc: 77 };
    let meta = SegmentMeta { segment: SegmentId(5), base: Lsn(12_288), prev, created_ms: 1_234_567_890_123 };
    let bytes = meta.encode(LOG);
    let fields = [
        ("magic", u64::from_le_bytes(*b"RINGPOST")),
        ("version", 1),
        ("shard", 0x0102),
        ("lead sum", u64::from(crc32fast::hash(&bytes[..12]))),
        ("log key", LOG.log_key),
        ("segment", 5),
        ("base", 12_288),
        ("previous segment", 4),
        ("previous end", 8192),
        ("previous sequence", 9),
        ("created", 1_234_567_890_123),
        ("previous link", 77),
        ("sum", u64::from(crc32fast::hash(&bytes[..76]))),
    ];
    agree("### 1.1", &bytes, &fields);
}

#[test]
fn a_batch_header_is_as_drawn() {
    let meta = BatchMeta {
        segment: SegmentId(3),
        sequence: 17,
        lsn: Lsn(8192),
        durable: Lsn(4096),
        time_ms: 1_234_567_890_123,
        len: 321,
        records: 6,
        prev_crc: 1234,
        heads_crc: 4321,
    };
    let (bytes, sum) = meta.encode(LOG);
    let fields = [
        ("magic", u64::from(u32::from_le_bytes(*b"RPB1"))),
        ("version", 1),
        ("shard", 0x0102),
        ("log key", LOG.log_key),
        ("segment", 3),
        ("sequence", 17),
        ("position", 8192),
        ("durable", 4096),
        ("time", 1_234_567_890_123),
        ("length", 321),
        ("records", 6),
        ("link", 1234),
        ("heads sum", 4321),
        ("sum", u64::from(sum)),
    ];
    assert_eq!(sum, crc32fast::hash(&bytes[..76]));
    agree("### 1.2", &bytes, &fields);
}

#[test]
fn a_record_header_is_as_drawn() {
    let meta = RecordMeta {
        kind: 255,
        flags: 1,
        account: AccountId(0x0708_0910),
        len: 5,
        summary_len: 2,
        session: 0,
    };
    let head = RecordHead::seal(meta, std::iter::once(&b"hello"[..]));
    let summed = [&head.as_bytes()[4..], b"hello"].concat();
    let fields = [
        ("sum", u64::from(crc32fast::hash(&summed))),
        ("length", 5),
        ("account", 0x0708_0910),
        ("detail", 2),
        ("kind", 255),
        ("flags", 1),
    ];
    agree("### 1.3", head.as_bytes(), &fields);
}

/// Rows of the table of changes: kind, name, fields.
fn kinds() -> Vec<(u8, String, String)> {
    let text = include_str!("../README.md");
    let section = text.split("### 1.4").nth(1).and_then(|rest| rest.split("\n## ").next());
    let row = |line: &str| {
        let cells: Vec<&str> = line.strip_prefix("| ")?.split('|').map(str::trim).collect();
        Some((cells.first()?.parse().ok()?, cells.get(1)?.to_string(), cells.get(2)?.to_string()))
    };
    section.expect("the section is there").lines().filter_map(row).collect()
}

/// Takes the bytes of a value of a type, as the table spells it.
fn take<'a>(kind: &str, bytes: &'a [u8]) -> &'a [u8] {
    let number =
        |len: usize| bytes[..len].iter().rev().fold(0, |value, &byte| value << 8 | usize::from(byte));
    if let Some(inner) = kind.strip_prefix("maybe ") {
        let (there, rest) = (bytes[0], take(inner, &bytes[1..]));
        let value = &bytes[1..bytes.len() - rest.len()];
        assert!(there == 1 || there == 0 && value.iter().all(|&byte| byte == 0), "{kind}");
        return rest;
    }
    if let Some(inner) = kind.strip_prefix("list of ") {
        return (0..number(4)).fold(&bytes[4..], |rest, _| take(inner, rest));
    }
    if let Some(fields) = kind.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        return take_fields(fields, bytes);
    }
    match kind {
        "u8" => &bytes[1..],
        "u16" => &bytes[2..],
        "u32" => &bytes[4..],
        "u64" => &bytes[8..],
        "string" => {
            let (text, rest) = bytes[2..].split_at(number(2));
            assert!(std::str::from_utf8(text).is_ok());
            rest
        }
        "octets" => &bytes[4 + number(4)..],
        "flags" => take("(system: u64, keywords: list of string)", bytes),
        "uids" => take("list of (first: u32, last: u32)", bytes),
        _ => panic!("what is {kind:?}?"),
    }
}

fn take_fields<'a>(fields: &str, bytes: &'a [u8]) -> &'a [u8] {
    let mut depth = 0;
    let between = |c: char| {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        c == ',' && depth == 0
    };
    let fields: Vec<&str> = fields.split(between).filter(|field| !field.is_empty()).collect();
    let kind = |field: &&str| field.split_once(": ").map(|(_, kind)| kind.to_owned()).expect("name: type");
    fields.iter().map(kind).fold(bytes, |rest, kind| take(&kind, rest))
}

/// One of every kind, nothing in it empty; behind it, where something can be absent, one in which it is.
fn changes() -> Vec<Change> {
    let (text, mailbox) = (String::from, MailboxId(7));
    let flags = Flags { system: FlagBits::SEEN, keywords: vec![text("$Junk"), text("a")] };
    let uids = UidSet::from_ranges(vec![(1, 3), (9, 9)]).expect("canonical");
    let message = NewMessage { body: BodyId(99), flags: flags.clone(), internal_ms: 5 };
    let rights = Some(Rights::READ);
    let octets = Some(Bytes::from_static(b"value"));
    vec![
        Change::AccountCreate {
            address: text("a@b"),
            password_hash: text("hash"),
            services: Services::ALL,
            mailboxes: vec![(text("Sent"), Some(SpecialUse::Sent)), (text("x"), None)],
        },
        Change::AccountPassword { password_hash: text("hash") },
        Change::AccountServices { services: Services::IMAP },
        Change::AccountDelete,
        Change::DomainAdd { name: text("b") },
        Change::DomainDelete { name: text("b") },
        Change::AliasSet { address: text("a@b"), targets: vec![text("c@d"), text("e@f")] },
        Change::AliasDelete { address: text("a@b") },
        Change::MailboxCreate { name: text("x/y"), special_use: Some(SpecialUse::All) },
        Change::MailboxRename { mailbox, to: text("z") },
        Change::MailboxDelete { mailbox },
        Change::Subscribe { name: text("x"), on: true },
        Change::Deliver { mailbox, body: BodyId(99), flags: flags.clone(), internal_ms: 5 },
        Change::FlagsStore {
            mailbox,
            uids: uids.clone(),
            op: FlagOp::Remove,
            flags,
            unchanged_since: Some(ModSeq(4)),
        },
        Change::Copy { from: mailbox, to: MailboxId(8), uids: uids.clone(), expunge: true },
        Change::Expunge { mailbox, uids: uids.clone(), only_deleted: true },
        Change::RecentSeen { mailbox, below: Uid(3) },
        Change::Append {
            mailbox,
            messages: vec![message.clone(); 2],
            replaces: Some((MailboxId(8), Uid(2))),
        },
        Change::Append { mailbox, messages: vec![message.clone()], replaces: None },
        Change::Metadata {
            mailbox: Some(mailbox),
            entries: vec![(text("/shared/a"), octets), (text("/shared/b"), None)],
        },
        Change::Metadata { mailbox: None, entries: Vec::new() },
        Change::Acl { mailbox, identifier: text("anyone"), rights },
        Change::Acl { mailbox, identifier: text("anyone"), rights: None },
        Change::Quota { limits: QuotaLimits { storage_kib: Some(1), messages: Some(2), mailboxes: Some(3) } },
        Change::Quota { limits: QuotaLimits::default() },
        Change::UrlKey { mailbox: Some(mailbox) },
        Change::AccountHide { capabilities: vec![text("NOTIFY"), text("QRESYNC")] },
        Change::AccountReferral { url: Some(text("imap://x/")) },
        Change::AccountReferral { url: None },
        Change::Restore { of: AccountId(6), from: mailbox, uids, to: MailboxId(8) },
        Change::Reap { until_ms: 9 },
        Change::MailboxAdopt { mailbox, uid_validity: 7, unique_ids: UniqueIdForm::Dovecot },
        Change::Import {
            mailbox,
            messages: vec![
                ImportedMessage { uid: Uid(3), message: message.clone(), unique_id: Some(text("odd")) },
                ImportedMessage { uid: Uid(4), message, unique_id: None },
            ],
            uid_next: Uid(9),
        },
        Change::Distrust { from: BodyId(8), until: BodyId(9) },
        Change::Trust { from: BodyId(8), until: BodyId(9) },
    ]
}

/// What is told of sessions.
fn told() -> Vec<Change> {
    let about = SessionInfo { service: "imap".to_owned(), tls: true, ..SessionInfo::default() };
    let uids = std::iter::once(Uid(3)).collect();
    vec![Change::Session { about }, Change::Read { of: AccountId(6), mailbox: MailboxId(7), uids }]
}

#[test]
fn payloads_of_changes_are_as_drawn() {
    let table = kinds();
    let stamp = Stamp { time_ms: 1, modseq: ModSeq(2), uid_first: Uid(3), mailbox_first: MailboxId(4) };
    let mut met = Vec::new();
    for change in changes().into_iter().chain(told()) {
        let (kind, mut bytes) = (codec::kind(&change), Vec::new());
        codec::encode(&change, &stamp, &mut bytes);
        let name = format!("{change:?}");
        let name = name.split(' ').next().unwrap_or(&name);
        let row = table.iter().find(|(number, _, _)| *number == kind).expect("the kind is in the table");
        assert_eq!(row.1, name, "kind {kind}");
        let stamped = "time: u64, mod-sequence: u64, first UID: u32, first mailbox: u32";
        let rest = take_fields(&row.2, take_fields(stamped, &bytes));
        assert!(rest.is_empty(), "{name}: {} bytes are not in the table", rest.len());
        assert_eq!(codec::decode(kind, &bytes), Some((change, stamp)));
        met.push(kind);
    }
    met.dedup();
    // What carries whole accounts (36, 37) is in pieces of its own forms; the codec's own tests go through them.
    let drawn = table.iter().map(|(kind, _, _)| *kind).filter(|kind| ![36, 37].contains(kind));
    assert_eq!(met, drawn.collect::<Vec<_>>(), "one row a kind, in order");
}

/// Bytes that a released store has written stay what they mean.
#[test]
fn an_append_is_these_bytes() {
    let flags = Flags { system: FlagBits::DRAFT, keywords: vec!["k".to_owned()] };
    let messages = vec![NewMessage { body: BodyId(0x0102), flags, internal_ms: 3 }];
    let change = Change::Append { mailbox: MailboxId(5), messages, replaces: Some((MailboxId(6), Uid(7))) };
    let mut bytes = Vec::new();
    codec::encode(&change, &Stamp::default(), &mut bytes);
    let expected: [&[u8]; 8] = [
        &[0; 24],                     // the stamp
        &[5, 0, 0, 0],                // mailbox
        &[1, 6, 0, 0, 0, 7, 0, 0, 0], // replaces
        &[1, 0, 0, 0],                // one message
        &[2, 1, 0, 0, 0, 0, 0, 0],    // body
        &[16, 0, 0, 0, 0, 0, 0, 0],   // system flags
        &[1, 0, 0, 0, 1, 0, b'k'],    // keywords
        &[3, 0, 0, 0, 0, 0, 0, 0],    // INTERNALDATE
    ];
    assert_eq!((codec::kind(&change), bytes), (18, expected.concat()));
}
