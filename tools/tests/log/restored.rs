//! `restore`: what was removed comes back into a store whose server is stopped.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ringpost_engine::change::{Change, FlagBits, FlagOp, Flags, UidSet};
use ringpost_engine::ids::{AccountId, BodyId, MailboxId, ShardId, Uid};
use ringpost_engine::index::MailboxRef;
use ringpost_engine::owners::Owners;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Host, INBOX, flip, json, objects, run, text};

const ANN: &str = "ann@example.test";

fn octets(nth: u32) -> Vec<u8> {
    format!("Message-ID: <{nth}@x>\r\nSubject: n{nth}\r\n\r\nbody of {nth}\r\n").into_bytes()
}

fn uids(list: &[u32]) -> UidSet {
    list.iter().map(|&uid| Uid(uid)).collect()
}

fn expunge(host: &mut Host, account: AccountId, mailbox: MailboxId, list: &[u32]) {
    host.change(account, Change::Expunge { mailbox, uids: uids(list), only_deleted: false });
}

/// Ann has four messages in INBOX and two in Work at the moment, and loses most of them afterwards.
fn sample() -> (TempDir, &'static str) {
    let data = TempDir::new().expect("a folder can be made");
    fs::write(data.path().join("shards"), "1\n").expect("it can be written");
    let mut host = Host::open(data.path(), 0);
    let ann = host.account(ANN);
    let work = host.mailbox(ann, "Work");
    for nth in 1..=4 {
        host.deliver(ann, &octets(nth));
    }
    for nth in 5..=6 {
        host.append(ann, work, &octets(nth));
    }
    // Each change is a second later than the one before; this was the eighth.
    let at = "2026-01-01T00:00:08Z";
    let flags = Flags { system: FlagBits::DELETED, ..Flags::default() };
    let (list, op) = (uids(&[1, 2]), FlagOp::Replace);
    host.change(ann, Change::FlagsStore { mailbox: INBOX, uids: list, op, flags, unchanged_since: None });
    expunge(&mut host, ann, INBOX, &[1, 2, 3]);
    host.change(ann, Change::MailboxDelete { mailbox: work });
    host.deliver(ann, &octets(7));
    (data, at)
}

fn last(objects: &[Value]) -> (u64, u64) {
    let last = objects.last().expect("a last line");
    (last["messages"].as_u64().expect("a number"), last["there"].as_u64().expect("a number"))
}

/// Octets by mailbox, sorted.
fn exported(data: &Path) -> Vec<(String, String)> {
    let folder = TempDir::new().expect("a folder can be made");
    let to = folder.path().join("out");
    text(data, &["export", "eml", to.to_str().expect("text"), "--account", ANN]);
    let mut found = Vec::new();
    let mut folders = vec![to.clone()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("it can be read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "eml") {
                let above = path.parent().and_then(|above| above.strip_prefix(&to).ok()).expect("below");
                let octets = fs::read_to_string(&path).expect("it can be read");
                found.push((above.display().to_string(), octets));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_moment_comes_back_once_and_the_log_stays_sound() {
    let (data, at) = sample();
    let data = data.path();
    let all = ["--json", "restore", ANN, "--all", "--at", at];
    let would = json(data, &[&all[..], &["--dry-run"]].concat());
    assert_eq!(last(&would), (5, 0), "{would:?}");
    assert_eq!(last(&json(data, &all)), (5, 0));
    assert_eq!(last(&json(data, &all)), (0, 5));
    let mut expected: Vec<(String, String)> = [1, 2, 3, 4, 7]
        .into_iter()
        .map(|nth| ("INBOX", nth))
        .chain([("Work", 5), ("Work", 6)])
        .map(|(mailbox, nth)| (mailbox.to_owned(), String::from_utf8(octets(nth)).expect("text")))
        .collect();
    expected.sort();
    assert_eq!(exported(data), expected);
    assert!(run(data, &["verify"]).status.success());
}

#[test]
fn flags_of_the_moment_come_from_the_log_itself() {
    let (data, at) = sample();
    let data = data.path();
    let list = json(data, &["--json", "restore", ANN, "--list", "--mailbox", "INBOX"]);
    assert_eq!(list[0]["flags"].as_array().map(Vec::len), Some(1), "\\Deleted, nothing else: {list:?}");
    let folder = data.to_str().expect("text");
    let from = ["--json", "restore", ANN, "--from", folder, "--at", at];
    assert_eq!(last(&json(data, &from)), (5, 1));
    assert_eq!(last(&json(data, &from)), (0, 6));
    // 1 and 2 had the keyword then, and no flags when they left.
    let shown = text(data, &["message", "6", "--account", ANN, "--mailbox", "INBOX"]);
    assert!(shown.contains("$Todo") && !shown.contains("Deleted"), "{shown}");
    assert!(run(data, &["verify"]).status.success());
}

/// Two servers make an account within the same second: UIDVALIDITY and UIDs are the same, the mail is not.
#[test]
fn a_message_of_another_server_is_not_taken_for_one_that_has_its_uid_here() {
    let one_message = |octets: &[u8], internal_ms| {
        let data = TempDir::new().expect("a folder can be made");
        fs::write(data.path().join("shards"), "1\n").expect("it can be written");
        let mut host = Host::open(data.path(), 0);
        let ann = host.account(ANN);
        // Positions say nothing between servers; here they differ, for both logs have the tests' key.
        host.body(ann, &vec![b'x'; internal_ms as usize]);
        let body = host.body(ann, octets);
        let flags = Flags::default();
        host.change(ann, Change::Deliver { mailbox: INBOX, body, flags, internal_ms });
        let validity = host.store().mailbox(ann, INBOX).expect("it is there").uid_validity();
        drop(host);
        (data, validity)
    };
    let (there, here) = (one_message(&octets(1), 5_000), one_message(&octets(2), 6_000));
    assert_eq!((there.1, octets(1).len()), (here.1, octets(2).len()), "nothing else tells them apart");
    let from = ["--json", "restore", ANN, "--from", there.0.path().to_str().expect("text")];
    let data = here.0.path();
    assert_eq!(last(&json(data, &from)), (1, 0));
    assert_eq!(last(&json(data, &from)), (0, 1));
    let expected: Vec<String> =
        [1, 2].into_iter().map(|nth| String::from_utf8(octets(nth)).expect("text")).collect();
    assert_eq!(exported(data).into_iter().map(|(_, octets)| octets).collect::<Vec<_>>(), expected);
}

#[test]
fn a_store_that_is_served_is_left_alone() {
    let (data, at) = sample();
    let lock = ringpost::runtime::lock(data.path()).expect("it is free");
    let refused = run(data.path(), &["restore", ANN, "--all", "--at", at]);
    assert_eq!(refused.status.code(), Some(3));
    drop(lock);
    let unknown = run(data.path(), &["restore", "bob@example.test", "--all", "--at", at]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no account bob"), "{unknown:?}");
}

/// Numbers that look like chance, the same for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// One of the things that clients do.
fn act(host: &mut Host, account: AccountId, chance: &mut Chance, nth: u32) {
    let found = host.store().account(account).expect("it is there");
    let mailboxes: Vec<MailboxId> =
        found.mailboxes().filter(|one| !one.no_select()).map(|one| one.id()).collect();
    let (from, to) = (mailboxes[chance.below(mailboxes.len())], mailboxes[chance.below(mailboxes.len())]);
    let held = host.store().mailbox(account, from).expect("it is there");
    let some = (0..held.len()).map(|place| held.message(place).uid).filter(|_| chance.below(2) == 0);
    let uids: UidSet = some.collect();
    let change = match chance.below(12) {
        0..=4 => {
            host.append(account, from, &octets(nth));
            return;
        }
        5 | 6 => Change::Copy { from, to, uids, expunge: false },
        7 => Change::Copy { from, to, uids, expunge: true },
        8 | 9 => Change::Expunge { mailbox: from, uids, only_deleted: false },
        10 => Change::MailboxCreate { name: format!("m{}", nth % 4), special_use: None },
        _ if chance.below(2) == 0 => Change::MailboxDelete { mailbox: from },
        _ => Change::MailboxRename { mailbox: from, to: format!("r{}", nth % 4) },
    };
    // Refused ones are part of it: names that are taken, INBOX that stays.
    host.change(account, change);
}

/// How often each body is in a mailbox.
fn bodies(mailbox: &MailboxRef<'_>) -> BTreeMap<BodyId, usize> {
    let mut bodies = BTreeMap::new();
    for place in 0..mailbox.len() {
        *bodies.entry(mailbox.message(place).body).or_insert(0) += 1;
    }
    bodies
}

fn snapshot(host: &Host, account: AccountId) -> BTreeMap<MailboxId, BTreeMap<BodyId, usize>> {
    let account = host.store().account(account).expect("it is there");
    account.mailboxes().map(|mailbox| (mailbox.id(), bodies(&mailbox))).collect()
}

/// The mailbox itself, or the one that is marked as its successor.
fn successor<'a>(host: &'a Host, account: AccountId, of: MailboxId) -> Option<MailboxRef<'a>> {
    let found = host.store().account(account)?;
    let mark = format!("{}.{}", account.0, of.0);
    let is_marked = |mailbox: &MailboxRef<'_>| {
        mailbox.metadata("/private/vendor/ringpost/restored") == Some(mark.as_bytes())
    };
    let itself = found.mailboxes().find(|mailbox| mailbox.id() == of && !mailbox.no_select());
    itself.or_else(|| found.mailboxes().find(is_marked))
}

#[test]
fn whatever_was_done_since_a_moment_all_of_it_is_there_again_and_nothing_else_is_touched() {
    for seed in 0..8 {
        let data = TempDir::new().expect("a folder can be made");
        let data = data.path();
        fs::write(data.join("shards"), "1\n").expect("it can be written");
        let mut host = Host::open(data, 0);
        let (ann, mut chance) = (host.account(ANN), Chance(seed));
        (0..40).for_each(|nth| act(&mut host, ann, &mut chance, nth));
        let (then, at) = (snapshot(&host, ann), ringpost::log::moment(host.time_ms()));
        (40..90).for_each(|nth| act(&mut host, ann, &mut chance, nth));
        let before = snapshot(&host, ann);
        drop(host);
        // From what the store keeps, and from its log.
        let folder = data.to_str().expect("text");
        let which = if seed % 2 == 0 { vec!["--all"] } else { vec!["--from", folder] };
        let all = [&["--json", "restore", ANN, "--at", &at], &which[..]].concat();
        let (came, _) = last(&json(data, &all));
        assert_eq!(last(&json(data, &all)).0, 0, "seed {seed}: a second run found something missing");

        let host = Host::open(data, 0);
        let after = snapshot(&host, ann);
        for (mailbox, had) in then.iter().filter(|(_, had)| !had.is_empty()) {
            let found = successor(&host, ann, *mailbox);
            let found = found.unwrap_or_else(|| panic!("seed {seed}: {mailbox} is missing"));
            let has = bodies(&found);
            let lacks = had.iter().find(|(body, count)| has.get(body).copied().unwrap_or(0) < **count);
            assert_eq!(lacks, None, "seed {seed}: {mailbox} as {} lacks it", found.name());
        }
        let count = |all: &BTreeMap<MailboxId, BTreeMap<BodyId, usize>>| {
            all.values().flat_map(BTreeMap::values).sum::<usize>() as u64
        };
        assert_eq!(count(&after), count(&before) + came, "seed {seed}: only what is told came");
        for (mailbox, held) in &before {
            let now = after
                .get(mailbox)
                .filter(|now| held.iter().all(|(body, count)| now.get(body) >= Some(count)));
            assert!(now.is_some() || held.is_empty(), "seed {seed}: {mailbox} lost something");
        }
    }
}

#[test]
fn a_log_without_its_beginning_says_how_far_it_goes_back() {
    let data = TempDir::new().expect("a folder can be made");
    fs::write(data.path().join("shards"), "1\n").expect("it can be written");
    let mut host = Host::eager(data.path());
    let ann = host.account(ANN);
    for nth in 0..200 {
        host.append(ann, INBOX, &[octets(nth), vec![b'x'; 2_000]].concat());
    }
    let at = ringpost::log::moment(host.time_ms());
    expunge(&mut host, ann, INBOX, &(1..=190).collect::<Vec<u32>>());
    for nth in 0..50 {
        host.wait();
        host.append(ann, INBOX, &octets(1_000 + nth));
    }
    drop(host);
    assert!(!data.path().join("shard-000/0000000001.seg").exists(), "nothing was let go");
    let folder = data.path().to_str().expect("text");
    let refused = run(data.path(), &["restore", ANN, "--from", folder, "--at", &at]);
    let why = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && why.contains("does not go back to"), "{why}");
    // What is there can be had from a copy of it, also of packs: into an account that lacks all of it.
    let other = TempDir::new().expect("a folder can be made");
    fs::write(other.path().join("shards"), "1\n").expect("it can be written");
    let mut host = Host::open(other.path(), 0);
    host.account(ANN);
    drop(host);
    let from = ["--json", "restore", ANN, "--from", folder];
    assert_eq!(last(&json(other.path(), &from)), (60, 0));
    assert_eq!(last(&json(other.path(), &from)), (0, 60));
    assert_eq!(exported(other.path()), exported(data.path()));
}

#[test]
fn what_was_removed_comes_back_out_of_packs() {
    let data = TempDir::new().expect("a folder can be made");
    fs::write(data.path().join("shards"), "1\n").expect("it can be written");
    let mut host = Host::eager_keeping(data.path(), u64::MAX);
    let (ann, bob) = (host.account(ANN), host.account("bob@example.test"));
    let mail = |nth| [octets(nth), vec![b'x'; 1_000]].concat();
    for nth in 0..100 {
        host.append(ann, INBOX, &mail(nth));
        // What nobody keeps lies between what is kept.
        host.body(bob, &mail(10_000 + nth));
        host.body(bob, &mail(20_000 + nth));
    }
    expunge(&mut host, ann, INBOX, &(1..=100).collect::<Vec<u32>>());
    for nth in 0..50 {
        host.wait();
        host.append(bob, INBOX, &octets(1_000 + nth));
    }
    drop(host);
    assert!(!data.path().join("shard-000/0000000001.seg").exists(), "nothing was let go");
    let inbox = ["--json", "restore", ANN, "--mailbox", "INBOX"];
    assert_eq!(last(&json(data.path(), &inbox)), (100, 0));
    assert_eq!(last(&json(data.path(), &inbox)), (0, 100));
    let mut expected: Vec<(String, String)> =
        (0..100).map(|nth| ("INBOX".to_owned(), String::from_utf8(mail(nth)).expect("text"))).collect();
    expected.sort();
    assert_eq!(exported(data.path()), expected);
    assert!(run(data.path(), &["verify"]).status.success());
}

/// Flips a bit of these octets wherever a log has them.
fn rot(data: &Path, octets: &[u8]) {
    let files = fs::read_dir(data.join("shard-000")).expect("the folder is there");
    let mut places = 0;
    for path in files.map(|entry| entry.expect("an entry").path()) {
        let bytes = fs::read(&path).expect("it can be read");
        for at in
            bytes.windows(octets.len()).enumerate().filter(|(_, found)| *found == octets).map(|(at, _)| at)
        {
            flip(&path, at);
            places += 1;
        }
    }
    assert_eq!(places, 1, "of {octets:?}");
}

#[test]
fn what_is_rotten_where_it_comes_from_is_told_and_left_out() {
    let (data, other) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    for folder in [&data, &other] {
        fs::write(folder.path().join("shards"), "1\n").expect("it can be written");
    }
    let mut host = Host::eager(data.path());
    let ann = host.account(ANN);
    for nth in 1..=40 {
        host.append(ann, INBOX, &[octets(nth), vec![b'x'; 1_000]].concat());
    }
    host.wait();
    drop(host);
    // Below the checkpoint, where no start looks.
    rot(data.path(), b"body of 3\r\n");
    let to = other.path().join("out");
    let exported = run(data.path(), &["export", "eml", to.to_str().expect("text"), "--account", ANN]);
    let told = String::from_utf8_lossy(&exported.stdout).into_owned();
    assert_eq!(exported.status.code(), Some(1), "{told}");
    assert!(told.contains("UNREADABLE INBOX UID 3: they are not what was written"), "{told}");
    assert!(told.contains("39 messages"), "{told}");
    let mut host = Host::open(other.path(), 0);
    host.account(ANN);
    drop(host);
    for tallied in [(39, 0), (0, 39)] {
        let restored =
            run(other.path(), &["--json", "restore", ANN, "--from", data.path().to_str().expect("text")]);
        let told = String::from_utf8_lossy(&restored.stdout);
        assert!(
            !restored.status.success() && told.contains("UID 3: they are not what was written"),
            "{told}"
        );
        assert_eq!(last(&objects(&restored)), tallied);
    }
}

#[test]
fn a_shard_that_cannot_say_costs_aliases_and_not_the_account() {
    let (data, other) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    fs::write(data.path().join("shards"), "2\n").expect("it can be written");
    let mut host = Host::open(data.path(), 1);
    let address = |nth: u32| format!("ann{nth}@example.test");
    let address = (0..99).map(address).find(|address| Owners::new(2).of(address) == ShardId(1));
    let address = address.expect("one of them");
    let ann = host.account(&address);
    let password_hash = ringpost::password::hash_generated("secret").expect("randomness");
    host.change(ann, Change::AccountPassword { password_hash });
    host.deliver(ann, &octets(1));
    drop(host);
    let mut host = Host::eager(data.path());
    let bob = host.account("bob@example.test");
    for nth in 0..200 {
        host.append(bob, INBOX, &[octets(nth), vec![b'x'; 2_000]].concat());
    }
    let at = ringpost::log::moment(host.time_ms());
    expunge(&mut host, bob, INBOX, &(1..=190).collect::<Vec<u32>>());
    for nth in 0..50 {
        host.wait();
        host.append(bob, INBOX, &octets(1_000 + nth));
    }
    drop(host);
    fs::write(other.path().join("shards"), "1\n").expect("it can be written");
    let mut host = Host::open(other.path(), 0);
    host.change(AccountId(0), Change::DomainAdd { name: "example.test".to_owned() });
    drop(host);
    let from = data.path().to_str().expect("text");
    let restored = run(other.path(), &["--json", "restore", &address, "--from", from, "--at", &at]);
    let why = String::from_utf8_lossy(&restored.stderr);
    assert!(!restored.status.success() && why.contains("aliases may be missing"), "{why}");
    assert_eq!(last(&objects(&restored)), (1, 0), "{why}");
    let refused = run(other.path(), &["restore", "nobody@example.test", "--from", from, "--at", &at]);
    let why = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && why.contains("does not go back to"), "{why}");
}
