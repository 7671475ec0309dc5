//! The tables of `engine/README.md` are the bytes: who reads a log by them reads it right.

use std::collections::BTreeSet;

use bytes::Bytes;
use ringpost_engine::arrival::{Arrival, Inheritance};
use ringpost_engine::change::{
    Change, FlagBits, FlagOp, Flags, ImportedMessage, NewBody, NewMessage, QuotaLimits, Rights, Services,
    SpecialUse, Stamp, UidSet, UniqueIdForm,
};
use ringpost_engine::codec;
use ringpost_engine::ids::{AccountId, BodyId, Lsn, MailboxId, ModSeq, Now, SegmentId, ShardId, Slot, Uid};
use ringpost_engine::index::Buried;
use ringpost_engine::index::moving::Departure;
use ringpost_engine::io::Disk;
use ringpost_engine::log::batch::{BatchMeta, LogIdentity};
use ringpost_engine::log::record::{RecordHead, RecordMeta};
use ringpost_engine::log::segment::{LogPoint, SegmentMeta};
use ringpost_engine::origin::SessionInfo;
use ringpost_engine::owners::{Arrived, Claim};
use ringpost_engine::recovery::recover_read_only;
use ringpost_engine::store::{Options, Store};
use ringpost_engine::testing::fake_disk::FakeDisk;
use ringpost_engine::testing::seed::Seed;
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

/// Rows of the table of pieces (§11): number or nothing, name, fields.
fn pieces() -> Vec<(Option<u8>, String, String)> {
    let text = include_str!("../README.md");
    let section = text.split("## 11. Accounts").nth(1).and_then(|rest| rest.split("\n## ").next());
    let row = |line: &str| {
        let cells: Vec<&str> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
        let (number, name) = (cells.first()?.parse().ok(), cells.get(1)?.trim_matches('*').to_owned());
        Some((number, name, cells.get(2)?.to_string()))
    };
    section.expect("the section is there").lines().filter_map(row).collect()
}

/// The fields of a row of that table.
fn piece(name: &str) -> String {
    let found = pieces().into_iter().find(|row| row.1 == name);
    found.unwrap_or_else(|| panic!("{name:?} is in the table")).2
}

/// Takes the bytes of a value of a type, as the table of pieces spells it.
fn take_of_piece<'a>(kind: &str, bytes: &'a [u8]) -> &'a [u8] {
    let number = |bytes: &'a [u8]| {
        let len = bytes.iter().position(|byte| *byte < 0x80).expect("a number ends") + 1;
        let digits = bytes[..len].iter().rev();
        (digits.fold(0u64, |value, byte| value << 7 | u64::from(byte & 0x7f)) as usize, &bytes[len..])
    };
    if let Some(inner) = kind.strip_prefix("list of ") {
        let (count, rest) = number(bytes);
        return (0..count).fold(rest, |rest, _| take_of_piece(inner, rest));
    }
    if let Some(fields) = kind.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        return take_all(fields, bytes, take_of_piece);
    }
    match kind {
        "byte" => &bytes[1..],
        "number" => number(bytes).1,
        "message" => take_all(&piece("message"), bytes, take_of_piece),
        "text" | "octets" => {
            let (len, rest) = number(bytes);
            assert!(kind == "octets" || std::str::from_utf8(&rest[..len]).is_ok());
            &rest[len..]
        }
        _ => panic!("what is {kind:?}?"),
    }
}

/// A piece as the table draws it, its facts as the table draws those.
fn take_piece<'a>(arrival: &Arrival, bytes: &'a [u8]) -> &'a [u8] {
    let row = pieces().into_iter().find(|row| row.0 == Some(bytes[0])).expect("the piece is in the table");
    let name = format!("{arrival:?}");
    assert_eq!(row.1, name.split(['(', ' ']).next().unwrap_or_default(), "piece {}", bytes[0]);
    let facts = match arrival {
        Arrival::Account { facts, .. } => Some((facts, "facts of an account")),
        Arrival::Mailbox(facts) => Some((facts, "facts of a mailbox")),
        _ => None,
    };
    if let Some((facts, name)) = facts {
        assert_eq!(take_all(&piece(name), facts, take_of_piece), b"", "{name}");
    }
    take_all(&row.2, &bytes[1..], take_of_piece)
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
    take_all(fields, bytes, take)
}

fn take_all<'a>(fields: &str, bytes: &'a [u8], take: fn(&str, &'a [u8]) -> &'a [u8]) -> &'a [u8] {
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
    ]
}

/// What no client asks for: counters, slots, rot, and what is told of sessions.
fn told() -> Vec<Change> {
    let about = SessionInfo { service: "imap".to_owned(), tls: true, ..SessionInfo::default() };
    let uids = std::iter::once(Uid(3)).collect();
    vec![
        Change::Inherit(Inheritance { next_account: 7, uid_validity_floor: 8 }),
        Change::SlotClaim {
            claim: Claim {
                slot: Slot(1),
                epoch: 2,
                accounts: vec![Arrived { account: AccountId(3), mailboxes: 4, messages: 5, bytes: 6 }],
                aliases: vec![("a@x".to_owned(), vec!["b@x".to_owned()])],
            },
        },
        Change::SlotLeave { slot: Slot(1), epoch: 2, to: ShardId(3) },
        Change::AccountLeave,
        Change::SlotClear { slot: Slot(1), epoch: 2 },
        Change::Distrust { from: BodyId(8), until: BodyId(9) },
        Change::Trust { from: BodyId(8), until: BodyId(9) },
        Change::Session { about },
        Change::Read { of: AccountId(6), mailbox: MailboxId(7), uids },
    ]
}

#[test]
fn payloads_of_changes_are_as_drawn() {
    let table = kinds();
    let stamp = Stamp { time_ms: 1, modseq: ModSeq(2), uid_first: Uid(3), mailbox_first: MailboxId(4) };
    let mut met = Vec::new();
    let mut all: Vec<Change> =
        changes().into_iter().chain(arrivals().into_iter().map(Change::Arrive)).collect();
    all.extend(told());
    all.sort_by_key(codec::kind);
    let mut drawn = BTreeSet::new();
    for change in all {
        let (kind, mut bytes) = (codec::kind(&change), Vec::new());
        codec::encode(&change, &stamp, &mut bytes);
        let name = format!("{change:?}");
        let name = name.split([' ', '(']).next().unwrap_or(&name);
        let row = table.iter().find(|(number, _, _)| *number == kind).expect("the kind is in the table");
        assert_eq!(row.1, name, "kind {kind}");
        let stamped = "time: u64, mod-sequence: u64, first UID: u32, first mailbox: u32";
        let fields = take_fields(stamped, &bytes);
        let rest = match &change {
            Change::Arrive(arrival) => {
                drawn.insert(fields[0]);
                take_piece(arrival, fields)
            }
            _ => take_fields(&row.2, fields),
        };
        assert!(rest.is_empty(), "{name}: {} bytes are not in the table", rest.len());
        assert_eq!(codec::decode(kind, &bytes), Some((change, stamp)));
        met.push(kind);
    }
    met.dedup();
    assert_eq!(met, table.iter().map(|(kind, _, _)| *kind).collect::<Vec<_>>(), "one row a kind, in order");
    let all: BTreeSet<u8> = pieces().into_iter().filter_map(|row| row.0).collect();
    assert_eq!(drawn, all, "one row a piece");
}

/// Every piece of an account that has some of everything, as it would leave a store.
fn arrivals() -> Vec<Arrival> {
    let now = Now { unix_ms: 1_700_000_000_000, mono_ms: 0 };
    let mut disk = FakeDisk::new(Seed::new(1));
    let (mut store, _) = Store::open(&mut disk, Options::new(ShardId(1), 7), now).expect("it opens");
    let text = str::to_owned;
    let mailboxes = vec![(text("Sent"), Some(SpecialUse::Sent)), (text("gone"), None)];
    let (password_hash, services) = (text("hash"), Services::ALL);
    let create = Change::AccountCreate { address: text("a@x"), password_hash, services, mailboxes };
    store.append(AccountId(0), create, now).expect("room");
    let id = AccountId::new(ShardId(1), 1);
    let parts = vec![Bytes::from_static(b"octets")];
    let body = NewBody { parts, summary: Bytes::from_static(b"summary") };
    let body = store.append_body(id, body, now).expect("room");
    let flags = Flags { system: FlagBits::SEEN, keywords: vec![text("$Junk"), text("k")] };
    let message = NewMessage { body, flags, internal_ms: 1_600_000_000_000 };
    let imported =
        |uid| ImportedMessage { uid: Uid(uid), message: message.clone(), unique_id: Some(text("id")) };
    let (inbox, uids) = (MailboxId(1), |uid| UidSet::from_ranges(vec![(uid, uid)]).expect("canonical"));
    let entries = vec![(text("/private/comment"), Some(Bytes::from_static(b"value")))];
    let life = [
        Change::Import { mailbox: inbox, messages: (1..200).map(imported).collect(), uid_next: Uid(400) },
        Change::Append { mailbox: MailboxId(3), messages: vec![message.clone()], replaces: None },
        Change::Expunge { mailbox: inbox, uids: uids(7), only_deleted: false },
        Change::MailboxDelete { mailbox: MailboxId(3) },
        Change::Metadata { mailbox: Some(inbox), entries: entries.clone() },
        Change::Metadata { mailbox: None, entries },
        Change::Acl { mailbox: inbox, identifier: text("b@x"), rights: Some(Rights::READ) },
    ];
    for change in life {
        store.append(id, change, now).expect("room");
    }
    while let Some((io, request)) = store.poll_io() {
        assert!(store.complete(io, disk.perform(&request)).fatal.is_none());
    }
    let index = recover_read_only(&mut disk, Some(ShardId(1)), None).expect("it can be read").index;
    let mut departure = Departure::new(id);
    let mut pieces: Vec<Arrival> = std::iter::from_fn(|| departure.next(&index)).collect();
    // Whose it was stands in the record's header.
    let whose = |buried| Buried { account: AccountId(0), lsn: Lsn(0), ..buried };
    let removed: Vec<Buried> = index.all_buried().map(whose).collect();
    pieces.push(Arrival::Removed(removed));
    pieces.extend(index.buried_mailboxes().map(|gone| Arrival::RemovedMailbox(Box::new(gone.clone()))));
    pieces.push(Arrival::Dropped);
    pieces
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
