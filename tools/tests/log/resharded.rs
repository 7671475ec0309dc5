//! `ringpost-log reshard`: every account is what it was, on however many shards.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use ringpost::admin::data;
use ringpost::admin::disk::ReadOnlyDisk;
use ringpost_engine::change::{Change, FlagBits, FlagOp, Flags, Outcome, Rights, UidSet};
use ringpost_engine::ids::{AccountId, EmailId, MailboxId, ShardId, Slot, Uid};
use ringpost_engine::recovery::recover_read_only;

use crate::support::{Host, INBOX, json, run, text};

const SENT: MailboxId = MailboxId(2);

fn uids(list: &[u32]) -> UidSet {
    list.iter().copied().map(Uid).collect()
}

/// Addresses whose slots are on this one of so many shards.
fn addresses(shard: u16, shards: u16) -> impl Iterator<Item = String> {
    let all = (0..).map(|n| format!("user{n}@x"));
    all.filter(move |address| Slot::of(address).shard(shards) == ShardId(shard))
}

/// What every account has, by means that know nothing of moving: mailbox, numbers, octets.
type Seen = BTreeMap<String, (AccountId, Vec<String>)>;

fn seen(folder: &Path) -> Seen {
    let mut seen = Seen::new();
    for shard in data::shards(folder, None).expect("shards") {
        let mut disk = ReadOnlyDisk::quiet(&shard.folder);
        let replayed = recover_read_only(&mut disk, shard.id, None).expect("it opens");
        let here = shard.id.expect("a number");
        for account in replayed.accounts_after("") {
            let mut lines = vec![format!(
                "{} {:?}",
                account.password_hash(),
                account.subscriptions().collect::<Vec<_>>()
            )];
            for mailbox in account.mailboxes() {
                let (name, validity, next) = (mailbox.name(), mailbox.uid_validity(), mailbox.uid_next());
                let (modseq, floor) = (mailbox.highest_modseq(), mailbox.expunged_floor());
                let gone: Vec<_> = mailbox.expunged_since(floor).collect();
                let acl: Vec<_> = mailbox.acl().collect();
                lines.push(format!("{} {name} {validity} {next} {modseq} {gone:?} {acl:?}", mailbox.id()));
                for message in (0..mailbox.len()).map(|place| mailbox.message(place)) {
                    let body = replayed.body(message.key()).expect("a body has its place");
                    let octets = disk.octets(&replayed, body.bytes).expect("its octets");
                    let EmailId(email) = message.email(here);
                    lines.push(format!(
                        "{} {} {:?} {} {} {} {email} {}",
                        message.uid,
                        message.modseq,
                        message.flags,
                        message.internal_ms,
                        message.saved_ms,
                        message.size,
                        String::from_utf8_lossy(&octets)
                    ));
                }
            }
            let found = (account.id(), lines);
            assert!(seen.insert(account.address().to_owned(), found).is_none(), "an account is there once");
        }
    }
    seen
}

/// Two shards with accounts that have shared bodies, moved, expunged and deleted mail, and what is not mail.
fn store(folder: &Path) {
    for shard in 0..2 {
        let mut host = Host::open(folder, shard);
        if shard == 0 {
            host.change(AccountId(0), Change::DomainAdd { name: "x".to_owned() });
        }
        let names: Vec<String> = addresses(shard, 2).take(5).collect();
        let ids: Vec<AccountId> = names.iter().map(|name| host.account(name)).collect();
        let alias =
            (0..).map(|n| format!("alias{n}@x")).find(|name| Slot::of(name).shard(2) == ShardId(shard));
        let address = alias.expect("one");
        host.change(AccountId(0), Change::AliasSet { address, targets: names.clone() });
        for (nth, id) in ids.iter().enumerate() {
            for message in 0..20 {
                let octets = format!("Subject: {nth} {message}\r\n\r\n{}\r\n", "text ".repeat(message * 7));
                host.deliver(*id, octets.as_bytes());
            }
            host.change(*id, Change::Copy { from: INBOX, to: SENT, uids: uids(&[1, 2, 3]), expunge: false });
            host.change(*id, Change::Copy { from: INBOX, to: SENT, uids: uids(&[4, 5]), expunge: true });
            host.change(
                *id,
                Change::Expunge { mailbox: INBOX, uids: uids(&[7, 8, 11]), only_deleted: false },
            );
            let flags = Flags { system: FlagBits::SEEN, keywords: vec!["$Late".to_owned()] };
            let (uids, op) = (uids(&[2, 9]), FlagOp::Add);
            host.change(*id, Change::FlagsStore { mailbox: INBOX, uids, op, flags, unchanged_since: None });
            host.change(*id, Change::Subscribe { name: "nowhere".to_owned(), on: true });
            let rights = Rights::from_bits(3);
            host.change(*id, Change::Acl { mailbox: INBOX, identifier: names[0].clone(), rights });
            let entries = vec![("/private/comment".to_owned(), Some(Bytes::from_static(b"note")))];
            host.change(*id, Change::Metadata { mailbox: Some(SENT), entries });
        }
        // One message for all: a body that several accounts share.
        let body = host.body(ids[0], b"Subject: to all\r\n\r\nhello\r\n");
        for id in &ids {
            let (flags, internal_ms) = (Flags::default(), 5_000);
            host.change(*id, Change::Deliver { mailbox: INBOX, body, flags, internal_ms });
        }
        host.change(ids[1], Change::MailboxDelete { mailbox: SENT });
        host.change(ids[4], Change::AccountDelete);
    }
    fs::write(folder.join("shards"), "2\n").expect("written");
}

fn bodies(folder: &Path) -> u64 {
    json(folder, &["verify"]).iter().filter_map(|line| line["bodies"].as_u64()).sum()
}

#[test]
fn every_account_is_what_it_was_on_however_many_shards() {
    let data = tempfile::tempdir().expect("a folder");
    store(data.path());
    let before = seen(data.path());
    assert_eq!(before.len(), 8);
    let told = text(data.path(), &["reshard", "--shards", "3", "--dry-run"]);
    assert!(told.contains("from 2 to 3 shards"), "{told}");
    assert_eq!(seen(data.path()), before, "only told");
    for shards in [1u16, 3, 4, 2] {
        let number = shards.to_string();
        let told = text(data.path(), &["reshard", "--shards", &number]);
        assert!(told.contains("8 accounts"), "{told}");
        assert_eq!(seen(data.path()), before, "on {shards} shards");
        for (address, (id, _)) in &before {
            let shard = Slot::of(address).shard(shards).0;
            let found = json(data.path(), &["--shard", &shard.to_string(), "dump", "--kind", "Arrive"]);
            assert!(found.iter().any(|line| line["address"] == **address), "{id} is where its slot is");
        }
        text(data.path(), &["verify"]);
        if shards == 1 {
            // 20 of each of 10 accounts, and on both old shards one for all of them.
            assert_eq!(bodies(data.path()), 202, "a body is copied once");
        }
    }
    // What was removed can be had back, also of who is deleted; new mail gets ids that nobody had.
    let (id, first) =
        (before.values().map(|(id, _)| *id).max().expect("some"), before.keys().next().expect("some"));
    let shard = Slot::of(first).shard(2);
    let mut host = Host::open(data.path(), shard.0);
    let of = before[first].0;
    let back = host.change(of, Change::Restore { of, from: INBOX, uids: uids(&[4, 7, 8]), to: INBOX });
    assert!(matches!(&back, Outcome::Copied { source, .. } if *source == uids(&[4, 7, 8])), "{back:?}");
    let fresh = host.account("new@x");
    assert!(fresh.counter() > id.counter(), "no id comes again");
    host.deliver(fresh, b"Subject: new\r\n\r\n");
    drop(host);
    let after = seen(data.path());
    let known: Vec<&str> = before.values().flat_map(|(_, lines)| lines).map(String::as_str).collect();
    let email = |line: &str| line.split(' ').nth(6).unwrap_or_default().to_owned();
    let emails: Vec<String> = known.iter().map(|line| email(line)).collect();
    let new = after["new@x"].1.iter().find(|line| line.contains("Subject: new")).expect("its message");
    assert!(email(new).parse::<u64>().is_ok(), "{new}");
    assert!(!emails.contains(&email(new)), "an EMAILID names one message: {new}");
}

#[test]
fn what_was_cut_short_is_thrown_away_or_finished() {
    let data = tempfile::tempdir().expect("a folder");
    store(data.path());
    let before = seen(data.path());
    // Cut while the new set was made: it is nothing.
    fs::create_dir_all(data.path().join("reshard.new/shard-000")).expect("made");
    fs::write(data.path().join("reshard.new/shard-000/0000000001.seg"), b"half").expect("written");
    text(data.path(), &["reshard", "--shards", "2"]);
    assert!(!data.path().join("reshard.new").exists());
    assert_eq!(seen(data.path()), before);
    // Cut behind the rename, with one new shard in its place: readers refuse, the next reshard finishes it.
    let other = tempfile::tempdir().expect("a folder");
    store(other.path());
    text(other.path(), &["reshard", "--shards", "3"]);
    let complete = data.path().join("reshard");
    fs::create_dir(&complete).expect("made");
    for name in ["shard-000", "shard-001", "shard-002", "shards"] {
        fs::rename(other.path().join(name), complete.join(name)).expect("moved");
    }
    fs::rename(data.path().join("shard-000"), complete.join("old-000")).expect("moved");
    fs::rename(complete.join("shard-000"), data.path().join("shard-000")).expect("moved");
    let refused = run(data.path(), &["verify"]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("between two numbers of shards"));
    let told = text(data.path(), &["reshard", "--shards", "3"]);
    assert!(told.contains("nothing to do"), "{told}");
    assert_eq!(seen(data.path()), before);
    assert!(!complete.exists());
}

#[test]
fn damage_is_refused_and_nothing_is_changed() {
    let data = tempfile::tempdir().expect("a folder");
    store(data.path());
    let segment = data.path().join("shard-000/0000000001.seg");
    let mut bytes = fs::read(&segment).expect("read");
    let at = bytes.windows(9).position(|window| window == b"text text").expect("a message");
    bytes[at] ^= 1;
    fs::write(&segment, &bytes).expect("written");
    let refused = run(data.path(), &["reshard", "--shards", "3"]);
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("damaged"), "{refused:?}");
    assert_eq!(fs::read(&segment).expect("read"), bytes);
    assert!(!data.path().join("reshard.new").exists() && !data.path().join("shard-002").exists());
}
