//! The tables of `engine/README.md` are the bytes: who reads a log by them reads it right.

use ringpost_engine::ids::{AccountId, Lsn, SegmentId, ShardId};
use ringpost_engine::log::batch::{BatchMeta, LogIdentity};
use ringpost_engine::log::record::{RecordHead, RecordMeta};
use ringpost_engine::log::segment::{LogPoint, SegmentMeta};
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
    let meta = RecordMeta { kind: 255, flags: 1, account: AccountId(0x0708_0910), len: 5, summary_len: 2 };
    let head = RecordHead::seal(meta, std::iter::once(&b"hello"[..]));
    let summed = [&head.as_bytes()[4..], b"hello"].concat();
    let fields = [
        ("sum", u64::from(crc32fast::hash(&summed))),
        ("length", 5),
        ("account", 0x0708_0910),
        ("summary length", 2),
        ("kind", 255),
        ("flags", 1),
    ];
    agree("### 1.3", head.as_bytes(), &fields);
}
