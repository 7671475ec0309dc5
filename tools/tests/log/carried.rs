//! `import` and `export`: what goes out comes back.

use std::fs::{self, File};
use std::path::Path;

use ringpost_engine::change::{Change, FlagBits, Flags, NewMessage, Outcome, QuotaLimits};
use ringpost_engine::ids::{AccountId, MailboxId};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Host, INBOX, json, objects, of_type, run, text};

/// Messages that are hard to carry.
const HARD: [&[u8]; 8] = [
    b"Message-ID: <1@x>\r\nSubject: plain\r\n\r\nbody\r\n",
    b"Return-Path: <a@b>\r\nMessage-ID: <2@x>\r\n\r\nFrom me\r\n>From you\r\n\r\nFrom us\r\n",
    b"Message-ID: <3@x>\r\nStatus: RO\r\nX-Keywords: no\r\n\r\nno line end at the end",
    b"no header at all\r\n",
    b"Subject: bare\r\n\r\na\nb\rc\r\n\n",
    b"\r\n",
    b"Subject: \xff\xfe\r\n\r\n\x00\x01\r\n",
    b"Message-ID: <1@x>\r\nSubject: plain\r\n\r\nbody\r\n",
];

fn append(host: &mut Host, account: AccountId, mailbox: MailboxId, octets: &[u8], nth: u64) {
    let body = host.body(account, octets);
    let bits = [FlagBits::NONE, FlagBits::SEEN, FlagBits::DELETED, FlagBits::DRAFT.union(FlagBits::ANSWERED)];
    let words = ["$Forwarded", "$Label1", "Later"];
    let keywords = words.iter().take(nth as usize % 4).map(|word| (*word).to_owned()).collect();
    let flags = Flags { system: bits[nth as usize % 4], keywords };
    let internal_ms = 1_700_000_000_000 - nth * 1_000;
    let change =
        Change::Append { mailbox, messages: vec![NewMessage { body, flags, internal_ms }], replaces: None };
    let outcome = host.change(account, change);
    assert!(matches!(outcome, Outcome::Appended { .. }), "{outcome:?}");
}

/// A server's data folder with Alice's mail.
fn sample() -> TempDir {
    let data = TempDir::new().expect("a folder can be made");
    fs::write(data.path().join("shards"), "1\n").expect("it can be written");
    let mut host = Host::open(data.path(), 0);
    let alice = host.account("alice@example.test");
    let mut nth = 0;
    for name in ["", "Work/2025", "a.b", "Entwürfe & Co", "x.mbox/y"] {
        let mailbox = if name.is_empty() { INBOX } else { host.mailbox(alice, name) };
        for octets in HARD {
            append(&mut host, alice, mailbox, octets, nth);
            nth += 1;
        }
    }
    host.mailbox(alice, "Empty");
    host.change(alice, Change::Subscribe { name: "Work/2025".to_owned(), on: true });
    data
}

/// An empty data folder with an account of that name.
fn empty() -> TempDir {
    let data = TempDir::new().expect("a folder can be made");
    fs::write(data.path().join("shards"), "1\n").expect("it can be written");
    Host::open(data.path(), 0).account("alice@example.test");
    data
}

/// All that an account holds, as `eml` writes it, by the path of each file.
fn contents(data: &Path) -> Vec<(String, Vec<u8>)> {
    let out = TempDir::new().expect("a folder can be made");
    let to = out.path().join("out");
    export(data, "eml", &to);
    let mut files = Vec::new();
    gather(&to, &to, &mut files);
    files.sort();
    files
}

fn gather(root: &Path, at: &Path, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(at).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            gather(root, &path, files);
        } else {
            let name = path.strip_prefix(root).expect("inside").display().to_string();
            files.push((name, fs::read(&path).expect("it can be read")));
        }
    }
}

fn export(data: &Path, format: &str, to: &Path) -> Vec<Value> {
    json(data, &["export", format, to.to_str().expect("text"), "--account", "alice@example.test"])
}

fn import(data: &Path, format: &str, from: &Path, more: &[&str]) -> Vec<Value> {
    let from = from.to_str().expect("text");
    json(data, &[&["import", format, from, "--account", "alice@example.test"], more].concat())
}

fn sum(objects: &[Value], key: &str) -> u64 {
    of_type(objects, "folder").iter().filter_map(|folder| folder[key].as_u64()).sum()
}

#[test]
fn what_goes_out_comes_back_in_every_form() {
    let data = sample();
    let before = contents(data.path());
    assert_eq!(before.iter().filter(|(name, _)| name.ends_with(".eml")).count(), 40);
    for format in ["maildir", "mboxrd", "eml", "tar"] {
        let out = TempDir::new().expect("a folder can be made");
        let mut to = out.path().join("out");
        let exported = export(data.path(), format, &to);
        assert!(of_type(&exported, "lost").is_empty(), "{format}: {exported:?}");
        if format == "tar" {
            let unpacked = out.path().join("unpacked");
            let file = File::open(&to).expect("it was made");
            tar::Archive::new(file).unpack(&unpacked).expect("it can be unpacked");
            to = unpacked;
        }
        let other = empty();
        let read_as = if format == "tar" { "eml" } else { format };
        let planned = import(other.path(), read_as, &to, &["--dry-run"]);
        assert_eq!((sum(&planned, "added"), of_type(&planned, "message").len()), (40, 40), "{format}");
        let imported = import(other.path(), read_as, &to, &[]);
        assert_eq!((sum(&imported, "added"), sum(&imported, "unreadable")), (40, 0), "{format}");
        let told = |objects: &[Value], kind: &str| of_type(objects, kind).len();
        assert_eq!(told(&planned, "mailbox"), told(&imported, "mailbox"), "{format}");
        let mut after = contents(other.path());
        if format == "mboxrd" {
            // An mbox has no place for subscriptions.
            after.retain(|(name, _)| name != "subscriptions.txt");
            let mut before = before.clone();
            before.retain(|(name, _)| name != "subscriptions.txt");
            assert!(after == before, "{format}");
        } else {
            assert!(after == before, "{format}");
        }
        let again = import(other.path(), read_as, &to, &[]);
        assert_eq!((sum(&again, "added"), sum(&again, "there")), (0, 40), "{format}: run again");
        assert!(of_type(&json(other.path(), &["verify"]), "verify")[0]["sound"] == true, "{format}");
    }
}

#[test]
fn one_mailbox_goes_out_and_below_another() {
    let data = sample();
    let out = TempDir::new().expect("a folder can be made");
    let to = out.path().join("one");
    let arguments =
        ["export", "mboxo", to.to_str().expect("text"), "--account", "1", "--mailbox", "work/2025"];
    assert_eq!(run(data.path(), &arguments).status.code(), Some(3), "names of mailboxes have their case");
    let arguments = [&arguments[..6], &["Work/2025"]].concat();
    let exported = json(data.path(), &arguments);
    assert_eq!(
        (exported.len(), of_type(&exported, "lost").len()),
        (2, 1),
        "mboxo cannot tell >From: {exported:?}"
    );
    assert!(run(data.path(), &arguments).status.code() == Some(3), "what is there stays");
    let file = to.join("Work/2025.mbox");
    let imported = import(data.path(), "mboxo", &file, &["--mailbox", "2025", "--below", "Old"]);
    assert_eq!(of_type(&imported, "folder")[0]["mailbox"], "Old/2025");
    assert_eq!(sum(&imported, "added"), 8);
    let dumped = json(data.path(), &["dump", "--kind", "Append"]);
    assert_eq!(dumped.last().map(|append| append["mailbox_name"].clone()), Some("Old/2025".into()));
}

#[test]
fn only_what_is_missing_is_added_and_nothing_by_a_dry_run() {
    let data = sample();
    let out = TempDir::new().expect("a folder can be made");
    let to = out.path().join("out");
    export(data.path(), "maildir", &to);
    let third = fs::read_dir(to.join("cur")).expect("a folder").find_map(|entry| {
        let path = entry.expect("an entry").path();
        path.display().to_string().contains(".U3.").then_some(path)
    });
    fs::remove_file(third.expect("the third message")).expect("it can be removed");
    let other = empty();
    let before = contents(other.path());
    import(other.path(), "maildir", &to, &["--dry-run"]);
    assert!(contents(other.path()) == before, "nothing is changed");
    assert_eq!(sum(&import(other.path(), "maildir", &to, &[]), "added"), 39);
    let full = out.path().join("full");
    export(data.path(), "maildir", &full);
    let planned = import(other.path(), "maildir", &full, &["--dry-run"]);
    let missing = of_type(&planned, "message");
    assert_eq!((missing.len(), &missing[0]["message_id"]), (1, &"3@x".into()));
    assert_eq!(sum(&import(other.path(), "maildir", &full, &["--verbose"]), "added"), 1);
}

#[test]
fn a_message_id_is_found_wherever_the_header_has_it() {
    let data = empty();
    let out = TempDir::new().expect("a folder can be made");
    for (nth, padding) in [0, 16_300, 16_370, 16_384, 40_000].into_iter().enumerate() {
        let mail = format!("X: {}\r\nMessage-ID: <{nth}@example.test>\r\n\r\nbody\r\n", "x".repeat(padding));
        fs::write(out.path().join(format!("{nth}.eml")), mail).expect("it can be written");
    }
    assert_eq!(sum(&import(data.path(), "eml", out.path(), &[]), "added"), 5);
    let again = import(data.path(), "eml", out.path(), &[]);
    assert_eq!((sum(&again, "added"), sum(&again, "there")), (0, 5));
}

#[test]
fn a_maildir_of_somebody_else_is_understood() {
    let data = empty();
    let out = TempDir::new().expect("a folder can be made");
    let root = out.path();
    for (file, octets) in [
        ("new/1000000002.M1P2.host", "Subject: second\n\nlf\n"),
        ("cur/1000000001.M1P1.host,S=5:2,FSa", "Subject: first\n\n"),
        ("cur/1000000003.x:2,T", "Subject: third\r\n\r\ncrlf\r\n"),
        (".Sent.&AOQ-/cur/7.x:2,PRbz", "Subject: sent\n\n"),
        ("Lists/rust/cur/8.y:2,", "Subject: nested\n\n"),
        ("tmp/9.z", "never seen"),
    ] {
        let path = root.join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
        fs::write(path, octets).expect("it can be written");
    }
    fs::write(root.join("dovecot-keywords"), "0 $Todo\n1 other\n").expect("written");
    fs::write(root.join(".Sent.&AOQ-/dovecot-keywords"), "1 $Junk\n").expect("written");
    let list = "3 V1 N9\n8 :1000000001.M1P1.host,S=5\n5 W1 :1000000003.x\n";
    fs::write(root.join("dovecot-uidlist"), list).expect("written");
    fs::write(root.join("subscriptions"), "V\t2\n\nLists\trust\nSent\n").expect("written");
    let imported = import(data.path(), "maildir", root, &["--verbose"]);
    let messages = of_type(&imported, "message");
    let flags: Vec<(&Value, String)> =
        messages.iter().map(|message| (&message["mailbox"], message["flags"].to_string())).collect();
    let inbox: Value = "INBOX".into();
    // By UID where the list tells, the others behind.
    assert_eq!(flags[0], (&inbox, "[\"\\\\Deleted\"]".to_owned()));
    assert_eq!(flags[1], (&inbox, "[\"\\\\Seen\",\"\\\\Flagged\",\"$Todo\"]".to_owned()));
    assert_eq!(flags[2], (&inbox, "[]".to_owned()));
    assert!(flags.contains(&(&"Lists/rust".into(), "[]".to_owned())), "{flags:?}");
    let sent = flags.iter().find(|(mailbox, _)| *mailbox == "Sent/ä").expect("it was found");
    assert_eq!(sent.1, "[\"\\\\Answered\",\"$Forwarded\",\"$Junk\"]");
    assert_eq!(messages.len(), 5);
    let files = contents(data.path());
    let octets = |name: &str| files.iter().find(|(file, _)| file == name).map(|(_, octets)| octets.clone());
    assert_eq!(octets("INBOX/3.eml").as_deref(), Some(&b"Subject: second\r\n\r\nlf\r\n"[..]));
    let subscribed = octets("subscriptions.txt").expect("the list");
    assert!(String::from_utf8_lossy(&subscribed).lines().any(|line| line == "Lists/rust"));
}

#[test]
fn what_cannot_be_done_is_said_and_leaves_the_store_alone() {
    let data = empty();
    let out = TempDir::new().expect("a folder can be made");
    let mbox = out.path().join("in.mbox");
    fs::write(&mbox, "From a@b Thu Jan  1 00:00:00 1970\nMessage-ID: <m@x>\n\nbody\n").expect("written");
    let path = mbox.to_str().expect("text");
    let failure = |arguments: &[&str]| {
        let output = run(data.path(), arguments);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let lock = File::options().create(true).append(true).open(data.path().join("lock")).expect("a file");
    ringpost::sys::process::lock_exclusive(&lock).expect("nobody has it");
    let import = ["import", "mboxrd", path, "--account", "alice@example.test"];
    assert!(failure(&import).contains("is in use by process"));
    assert_eq!(
        sum(&json(data.path(), &[&import[..], &["--dry-run"]].concat()), "added"),
        1,
        "a dry run needs no lock"
    );
    drop(lock);
    assert!(failure(&["import", "mboxrd", path, "--account", "bob@example.test"]).contains("give --create"));
    assert!(failure(&["import", "maildir", path, "--account", "alice@example.test"]).contains("in.mbox"));
    assert!(
        failure(&["export", "maildir", path, "--account", "alice@example.test"]).contains("exists already")
    );
    let create = ["import", "mboxrd", path, "--account", "Bob@example.test", "--create"];
    assert!(failure(&create).contains("domain add"), "mail to an address of no domain of ours is refused");
    Host::open(data.path(), 0).change(AccountId(0), Change::DomainAdd { name: "example.test".to_owned() });
    let created = json(data.path(), &create);
    assert_eq!((of_type(&created, "account").len(), sum(&created, "added")), (1, 1));
    let bob = text(data.path(), &["dump", "--account", "bob@example.test", "--kind", "Append"]);
    assert!(bob.contains("INBOX"), "{bob}");
    let mut host = Host::open(data.path(), 0);
    let limits = QuotaLimits { messages: Some(0), ..QuotaLimits::default() };
    host.change(AccountId(1), Change::Quota { limits });
    drop(host);
    assert!(failure(&import).contains("quota has no room"));
    // The number of an account that was made on another shard, as after a reshard, or of none.
    assert!(failure(&["import", "mboxrd", path, "--account", "281474976710657"]).contains("no account"));
    assert!(!data.path().join("shard-001").exists(), "a number makes no shard");
    let broken = out.path().join("broken.mbox");
    fs::write(&broken, "no mbox\n").expect("written");
    let output =
        run(data.path(), &["import", "mboxrd", broken.to_str().expect("text"), "--account", "1", "--json"]);
    assert_eq!((output.status.code(), sum(&objects(&output), "unreadable")), (Some(1), 1));
}

#[test]
fn names_that_are_no_utf8_are_read_or_told_and_never_passed_over_unseen() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let odd = |name: &[u8]| std::path::PathBuf::from(OsStr::from_bytes(name));
    let there = TempDir::new().expect("a folder can be made");
    let maildir = there.path().join("maildir");
    for folder in [&b""[..], b".Good", b".caf\xe9"] {
        fs::create_dir_all(maildir.join(odd(folder)).join("cur")).expect("a folder");
        let file = maildir.join(odd(folder)).join("cur").join(odd(b"1.caf\xe9:2,S"));
        fs::write(file, "Subject: x\n\nhi\n").expect("it can be written");
    }
    let eml = there.path().join("eml");
    fs::create_dir_all(eml.join(odd(b"caf\xe9"))).expect("a folder");
    fs::write(eml.join(odd(b"caf\xe9")).join("1.eml"), "a\n").expect("it can be written");
    fs::write(eml.join(odd(b"caf\xe9.eml")), "b\n").expect("it can be written");
    fs::write(eml.join("index.jsonl"), "nonsense\n").expect("it can be written");
    let mbox = there.path().join("mbox");
    fs::create_dir_all(&mbox).expect("a folder");
    fs::write(mbox.join(odd(b"caf\xe9.mbox")), "From a\n\nb\n").expect("it can be written");
    for (format, from, messages, told) in
        [("maildir", &maildir, 2, 1), ("eml", &eml, 1, 2), ("mboxrd", &mbox, 0, 1)]
    {
        let data = empty();
        let from = from.to_str().expect("text");
        let output = run(data.path(), &["import", format, from, "--account", "alice@example.test", "--json"]);
        assert_eq!(
            output.status.code(),
            Some(1),
            "{format}: what is passed over is told by the code as well"
        );
        let objects = objects(&output);
        assert_eq!(sum(&objects, "added"), messages, "{format}: {objects:?}");
        assert_eq!(of_type(&objects, "unreadable").len(), told, "{format}: {objects:?}");
        if format == "maildir" {
            let listed = json(data.path(), &["dump", "--kind", "Append"]);
            assert!(
                listed.iter().all(|record| record["messages"][0]["flags"] == serde_json::json!(["\\Seen"]))
            );
        }
    }
}

/// Makes a link.
fn link(to: &Path, at: &Path) {
    std::os::unix::fs::symlink(to, at).expect("it can be linked");
}

#[test]
fn links_pipes_and_devices_are_told_and_neither_followed_nor_waited_for() {
    let there = TempDir::new().expect("a folder can be made");
    let secret = there.path().join("secret");
    fs::write(&secret, "Subject: not hers\n\n").expect("written");
    let [maildir, eml, mbox] = ["maildir", "eml", "mbox"].map(|name| there.path().join(name));
    for folder in [&maildir.join("cur"), &maildir.join(".Half"), &eml, &mbox] {
        fs::create_dir_all(folder).expect("a folder");
    }
    for (folder, end) in [(maildir.join("cur"), ""), (eml.clone(), ".eml"), (mbox.clone(), ".mbox")] {
        fs::write(folder.join(format!("1{end}")), "From a\nSubject: x\n\nhi\n").expect("written");
        link(&secret, &folder.join(format!("2{end}")));
        link(Path::new("/dev/zero"), &folder.join(format!("3{end}")));
        let pipe = folder.join(format!("4{end}"));
        assert!(std::process::Command::new("mkfifo").arg(pipe).status().expect("mkfifo runs").success());
    }
    // Folders that would be walked for ever, and mail of somebody else.
    link(&maildir, &maildir.join(".Other"));
    link(&maildir.join("cur"), &maildir.join(".Half/cur"));
    for root in [&eml, &mbox] {
        for name in ["a", "b"] {
            link(root, &root.join(name));
        }
    }
    for (format, from, told) in [("maildir", &maildir, 5), ("eml", &eml, 5), ("mboxrd", &mbox, 5)] {
        let data = empty();
        let from = from.to_str().expect("text");
        let output = run(data.path(), &["import", format, from, "--account", "alice@example.test", "--json"]);
        let objects = objects(&output);
        assert_eq!(output.status.code(), Some(1), "{format}: {objects:?}");
        let unreadable = of_type(&objects, "unreadable");
        assert_eq!((sum(&objects, "added"), unreadable.len()), (1, told), "{format}: {objects:?}");
        let links =
            unreadable.iter().filter(|one| one["what"].as_str().is_some_and(|why| why.contains("link")));
        assert_eq!(links.count(), told - 1, "{format}: {objects:?}");
    }
}

#[test]
fn a_name_that_no_file_can_have_is_cut_and_told_and_keeps_nothing_from_going_out() {
    let data = empty();
    let mut host = Host::open(data.path(), 0);
    let alice = AccountId(1);
    for (nth, name) in [&"x".repeat(900), "z"].into_iter().enumerate() {
        let mailbox = host.mailbox(alice, name);
        append(&mut host, alice, mailbox, HARD[nth], nth as u64);
    }
    drop(host);
    let out = TempDir::new().expect("a folder can be made");
    for format in ["maildir", "mboxrd", "eml", "tar"] {
        let exported = export(data.path(), format, &out.path().join(format));
        let messages =
            of_type(&exported, "exported").iter().filter_map(|one| one["messages"].as_u64()).sum::<u64>();
        assert_eq!((messages, of_type(&exported, "lost").len()), (2, 1), "{format}: {exported:?}");
    }
    let other = empty();
    let imported = import(other.path(), "maildir", &out.path().join("maildir"), &[]);
    assert_eq!((sum(&imported, "added"), sum(&imported, "unreadable")), (2, 0), "{imported:?}");
}
