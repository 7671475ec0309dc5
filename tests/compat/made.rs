//! A small store with everything in it.
//!
//! *Owns*: what goes into the fixtures. *Promises*: the same bytes of log each time, and at least one file of every
//! kind that a data folder or a backup has. *Assumes*: an empty folder. *Never*: looks at what came of it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use bytes::Bytes;
use ringpost::admin::backup::{Manifest, ShardMade};
use ringpost::runtime::Files;
use ringpost::sys::cpu::Cores;
use ringpost_engine::arrival::{Arrival, Inheritance};
use ringpost_engine::change::{
    Change, FlagBits, FlagOp, Flags, ImportedMessage, NewBody, NewMessage, Outcome, QuotaLimits, Rights,
    Services, SpecialUse, UidSet, UniqueIdForm,
};
use ringpost_engine::compact;
use ringpost_engine::ids::{AccountId, BodyId, MailboxId, Now, ShardId, Uid};
use ringpost_engine::index::Message;
use ringpost_engine::index::moving::Departure;
use ringpost_engine::io::Disk;
use ringpost_engine::layout::Summary;
use ringpost_engine::origin::{Origin, Reading, SessionInfo};
use ringpost_engine::press;
use ringpost_engine::recovery::recover_read_only;
use ringpost_engine::store::{Options, Store};

const INBOX: MailboxId = MailboxId(1);
/// When everything begins: 2026-01-01.
pub const START: Now = Now { unix_ms: 1_767_225_600_000, mono_ms: 0 };
/// Blocks of a segment behind its last batch are zero; fixtures do without them.
const BLOCK: usize = 4096;

/// How the stores of the fixtures are opened.
pub fn options(shard: ShardId) -> Options {
    let usual = Options::new(shard, 0x5eed);
    // Of the second shard the whole log stays.
    let bytes_per_second = if shard == ShardId(0) { usual.compact.bytes_per_second } else { 0 };
    let compact = compact::Options {
        bytes_per_second,
        live_percent: 90,
        grace_ms: 0,
        look_ms: 1,
        press: press::Options { after_ms: Some(0), dictionary_bytes: 1_000, ..press::Options::default() },
    };
    Options {
        segment_bytes: 32 * 1024,
        message_bytes_max: 4_000,
        checkpoint_log_bytes: 24 * 1024,
        undelete_ms: if shard == ShardId(0) { 0 } else { usual.undelete_ms },
        compact,
        ..usual
    }
}

/// A shard's files.
pub fn files(data: &Path, shard: ShardId) -> Files {
    Files::new(data, shard, Cores::of_this_thread().expect("affinity")).expect("a folder")
}

struct Maker {
    disk: Files,
    store: Store,
    now: Now,
    by: Origin,
}

impl Maker {
    fn open(data: &Path, shard: ShardId) -> Maker {
        let mut disk = files(data, shard);
        let (store, _) = Store::open(&mut disk, options(shard), START).expect("it opens");
        Maker { disk, store, now: START, by: Origin::NONE }
    }

    /// Makes what is queued durable, in one batch as far as it fits; every change must be carried out.
    fn settle(&mut self) -> Option<Outcome> {
        let mut last = None;
        while let Some((id, request)) = self.store.poll_io() {
            let progress = self.store.complete(id, Disk::perform(&mut self.disk, &request));
            assert_eq!(progress.fatal, None);
            for applied in progress.applied {
                assert!(!matches!(applied.outcome, Outcome::Refused(_)), "{applied:?}");
                last = Some(applied.outcome);
            }
        }
        last
    }

    fn change(&mut self, account: AccountId, change: Change) {
        (self.now.unix_ms, self.now.mono_ms) = (self.now.unix_ms + 1_000, self.now.mono_ms + 10);
        self.store.append_by(self.by, account, change, self.now).expect("it is taken");
    }

    /// Lets upkeep do its work.
    fn wait(&mut self) {
        for _ in 0..50 {
            (self.now.unix_ms, self.now.mono_ms) = (self.now.unix_ms + 1_000, self.now.mono_ms + 1_000);
            self.store.tick(self.now);
            self.settle();
        }
    }

    fn account(&mut self, address: &str) -> AccountId {
        let mailboxes = vec![("Sent".to_owned(), Some(SpecialUse::Sent)), ("Work/2025".to_owned(), None)];
        let (address, password_hash) = (address.to_owned(), "$argon2id$none".to_owned());
        let create = Change::AccountCreate { address, password_hash, services: Services::ALL, mailboxes };
        self.change(AccountId(0), create);
        match self.settle() {
            Some(Outcome::AccountCreated(id)) => id,
            other => panic!("{other:?}"),
        }
    }

    fn body(&mut self, account: AccountId, octets: &[u8]) -> BodyId {
        let summary = Summary { envelope: Bytes::from_static(b"(NIL \"fixture\")"), ..Summary::default() };
        let body = NewBody { parts: vec![Bytes::copy_from_slice(octets)], summary: summary.encode() };
        self.store.append_body(account, body, self.now).expect("it is taken")
    }

    fn deliver(&mut self, account: AccountId, text: &str) {
        let octets = format!("Message-ID: <{text}@x>\r\nSubject: {text}\r\n\r\n{}\r\n", text.repeat(60));
        let body = self.body(account, octets.as_bytes());
        let flags = Flags { keywords: vec!["$Todo".to_owned()], ..Flags::default() };
        self.change(account, Change::Deliver { mailbox: INBOX, body, flags, internal_ms: 1_700_000_000_000 });
    }

    fn message(&mut self, account: AccountId, octets: &[u8]) -> NewMessage {
        let flags = Flags { system: FlagBits::SEEN, keywords: vec!["Ünï".to_owned()] };
        NewMessage { body: self.body(account, octets), flags, internal_ms: 1_600_000_000_000 }
    }

    /// Changes of every kind that an account can have.
    fn account_life(&mut self, account: AccountId) {
        let mailbox = |name: &str, maker: &mut Maker| {
            maker.settle();
            let account = maker.store.account(account).expect("there");
            account.mailbox_by_name(name).expect("there").id()
        };
        let (sent, work) = (mailbox("Sent", self), mailbox("Work/2025", self));
        let text = str::to_owned;
        (0..6).for_each(|nth| self.deliver(account, &format!("first{nth}")));
        self.change(account, flags(INBOX, &[1, 3], FlagOp::Add, FlagBits::FLAGGED));
        self.change(account, flags(INBOX, &[3], FlagOp::Remove, FlagBits::FLAGGED));
        self.change(account, flags(INBOX, &[2], FlagOp::Replace, FlagBits::DELETED));
        self.change(account, Change::Copy { from: INBOX, to: work, uids: uids(&[1, 2]), expunge: false });
        self.change(account, Change::Copy { from: INBOX, to: sent, uids: uids(&[4]), expunge: true });
        self.change(account, Change::Expunge { mailbox: INBOX, uids: uids(&[2, 3]), only_deleted: true });
        self.change(account, Change::RecentSeen { mailbox: INBOX, below: Uid(5) });
        let messages = vec![self.message(account, b"appended\r\n"), self.message(account, b"\r\n.\r\n")];
        self.change(account, Change::Append { mailbox: sent, messages, replaces: Some((INBOX, Uid(5))) });
        self.change(account, Change::MailboxRename { mailbox: work, to: text("Archive/2025") });
        self.change(
            account,
            Change::MailboxCreate { name: text("Entwürfe"), special_use: Some(SpecialUse::Drafts) },
        );
        let imported = mailbox("Entwürfe", self);
        let (uid_validity, unique_ids) = (7, UniqueIdForm::Dovecot);
        self.change(account, Change::MailboxAdopt { mailbox: imported, uid_validity, unique_ids });
        let message = self.message(account, b"imported\r\n");
        let messages = vec![ImportedMessage { uid: Uid(40), message, unique_id: Some(text("odd")) }];
        self.change(account, Change::Import { mailbox: imported, messages, uid_next: Uid(50) });
        self.change(account, Change::MailboxCreate { name: text("Gone"), special_use: None });
        let gone = mailbox("Gone", self);
        self.change(account, Change::Copy { from: INBOX, to: gone, uids: uids(&[1]), expunge: false });
        self.change(account, Change::MailboxDelete { mailbox: gone });
        self.change(account, Change::Restore { of: account, from: gone, uids: uids(&[1]), to: sent });
        self.policy(account, sent);
    }

    fn policy(&mut self, account: AccountId, mailbox: MailboxId) {
        let text = str::to_owned;
        let value = Some(Bytes::from_static(b"noted\0"));
        for of in [Some(mailbox), None] {
            let entries = vec![(text("/private/comment"), value.clone())];
            self.change(account, Change::Metadata { mailbox: of, entries });
            self.change(account, Change::UrlKey { mailbox: of });
        }
        let (identifier, rights) = (text("bob@x"), Some(Rights::READ));
        self.change(account, Change::Acl { mailbox, identifier, rights });
        let limits = QuotaLimits { storage_kib: Some(9_000), messages: Some(100), mailboxes: None };
        self.change(account, Change::Quota { limits });
        self.change(account, Change::Subscribe { name: text("Sent"), on: false });
        self.change(account, Change::AccountPassword { password_hash: text("$argon2id$other") });
        self.change(account, Change::AccountServices { services: Services::IMAP });
        self.change(account, Change::AccountHide { capabilities: vec![text("NOTIFY")] });
        self.change(account, Change::AccountReferral { url: Some(text("imap://elsewhere.test/")) });
    }

    fn directory(&mut self) {
        let text = str::to_owned;
        for name in ["example.test", "gone.test"] {
            self.change(AccountId(0), Change::DomainAdd { name: text(name) });
        }
        self.change(AccountId(0), Change::DomainDelete { name: text("gone.test") });
        for address in ["team@x", "gone@x"] {
            let targets = vec![text("alice@x"), text("bob@x")];
            self.change(AccountId(0), Change::AliasSet { address: text(address), targets });
        }
        self.change(AccountId(0), Change::AliasDelete { address: text("gone@x") });
    }

    fn session(&mut self, user: &str) {
        let about = SessionInfo {
            service: "imap".to_owned(),
            connection: 7,
            tls: true,
            peer: "192.0.2.7".to_owned(),
            user: user.to_owned(),
            client: "Fixture 1".to_owned(),
            opened_ms: self.now.unix_ms,
        };
        self.by = self.store.introduce(about.clone(), self.now).expect("it is taken");
        let account = self.store.account_by_address(user).unwrap_or_default();
        let reading = Reading { by: self.by, about, of: account, mailbox: INBOX, uids: uids(&[1]) };
        self.store.note_reading(reading, self.now);
    }

    /// The bytes of the last two messages are not what was written; of the first of them they are again.
    fn distrust(&mut self, account: AccountId) {
        self.settle();
        let inbox = self.store.mailbox(account, INBOX).expect("there");
        let bodies = [2, 1].map(|back| inbox.message(inbox.len() - back).body);
        for from in bodies {
            self.change(AccountId(0), Change::Distrust { from, until: BodyId(from.0 + 1) });
        }
        self.change(AccountId(0), Change::Trust { from: bodies[0], until: BodyId(bodies[0].0 + 1) });
    }

    /// Fills segments with what dies, until compaction has moved the rest and let them go.
    fn churn(&mut self, account: AccountId) {
        for round in 0..16 {
            for nth in 0..4 {
                self.deliver(account, &format!("dying{round}x{nth}"));
            }
            let uids = UidSet::from_ranges(vec![(6, 9_999)]).expect("canonical");
            self.change(account, Change::Expunge { mailbox: INBOX, uids, only_deleted: false });
            self.settle();
            if round % 4 == 3 {
                self.wait();
            }
        }
    }
}

fn uids(list: &[u32]) -> UidSet {
    list.iter().copied().map(Uid).collect()
}

fn flags(mailbox: MailboxId, list: &[u32], op: FlagOp, system: FlagBits) -> Change {
    let flags = Flags { system, keywords: vec!["$Done".to_owned()] };
    Change::FlagsStore { mailbox, uids: uids(list), op, flags, unchanged_since: None }
}

/// Accounts of a third shard come to this one: one that is all there, one that is on its way for ever, and one that
/// does not come after all.
fn arrive(maker: &mut Maker) {
    let data = tempfile::TempDir::new().expect("a folder can be made");
    let mut from = Maker::open(data.path(), ShardId(2));
    let ids = ["carol@x", "dave@x", "erin@x"].map(|address| {
        let account = from.account(address);
        (0..3).for_each(|nth| from.deliver(account, &format!("{address}{nth}")));
        from.change(account, Change::Expunge { mailbox: INBOX, uids: uids(&[2]), only_deleted: false });
        from.settle();
        account
    });
    let index = recover_read_only(&mut from.disk, Some(ShardId(2)), None).expect("readable").index;
    let (next_account, uid_validity_floor) = (1_000, 0);
    maker.change(AccountId(0), Change::Inherit(Inheritance { next_account, uid_validity_floor }));
    for (nth, id) in ids.into_iter().enumerate() {
        let mut departure = Departure::new(id);
        let mut pieces: Vec<Arrival> = std::iter::from_fn(|| departure.next(&index)).collect();
        let done = pieces.pop().expect("the last one");
        pieces.push(Arrival::Removed(index.all_buried().filter(|buried| buried.account == id).collect()));
        match nth {
            0 => pieces.push(done),
            1 => drop(pieces.pop()),
            _ => pieces.push(Arrival::Dropped),
        }
        for mut piece in pieces {
            let mut bring = |message: &mut Message| {
                message.known_as = message.email(ShardId(2));
                let found = from.store.body(message.key()).expect("there");
                let octets = from.store.bytes(found.bytes).expect("there");
                message.body = maker.body(id, &octets);
            };
            match &mut piece {
                Arrival::Messages { messages, .. } => {
                    messages.iter_mut().for_each(|moved| bring(&mut moved.message));
                }
                Arrival::Removed(removed) => {
                    removed.iter_mut().for_each(|buried| bring(&mut buried.message));
                }
                _ => {}
            }
            maker.change(id, Change::Arrive(piece));
        }
        maker.settle();
    }
}

/// Makes two shards in a folder: one that was compacted, and one that keeps what was removed; and the manifest that a
/// backup of them has.
pub fn make(data: &Path) {
    for shard in [ShardId(0), ShardId(1)] {
        let mut maker = Maker::open(data, shard);
        maker.directory();
        let address = if shard.0 == 0 { "alice@x" } else { "bob@x" };
        let account = maker.account(address);
        maker.session(address);
        maker.account_life(account);
        let gone = maker.account("gone@x");
        maker.change(gone, Change::AccountDelete);
        maker.settle();
        match shard {
            ShardId(0) => maker.churn(account),
            _ => arrive(&mut maker),
        }
        maker.wait();
        maker.deliver(account, "last");
        maker.deliver(account, "hidden");
        maker.distrust(account);
        maker.settle();
    }
    fs::write(data.join("shards"), "2\n").expect("it can be written");
    [0, 1].into_iter().for_each(|shard| cut(&data.join(format!("shard-{shard:03}"))));
    manifest(data);
}

/// Takes the zeroes off the newest segment, as a start would.
fn cut(shard: &Path) {
    for entry in fs::read_dir(shard).expect("a folder") {
        let path = entry.expect("an entry").path();
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        match extension {
            "seg" => {
                let bytes = fs::read(&path).expect("it can be read");
                let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
                if used == 0 {
                    fs::remove_file(&path).expect("it can be removed");
                    continue;
                }
                let file = File::options().write(true).open(&path).expect("it can be opened");
                file.set_len(used.next_multiple_of(BLOCK) as u64).expect("it can be cut");
            }
            "ckp" | "pack" => {}
            // What was being made ready is no part of a store.
            _ => fs::remove_file(&path).expect("it can be removed"),
        }
    }
}

fn manifest(data: &Path) {
    let mut files = BTreeMap::new();
    let mut shards = Vec::new();
    for shard in [0, 1] {
        let folder = format!("shard-{shard:03}");
        for entry in fs::read_dir(data.join(&folder)).expect("a folder") {
            let entry = entry.expect("an entry");
            let name = entry.file_name().into_string().expect("text");
            files.insert(format!("{folder}/{name}"), entry.metadata().expect("there").len());
        }
        let mut disk = files_read_only(data, shard);
        let recovered =
            ringpost_engine::recovery::recover_read_only(&mut disk, None, None).expect("readable");
        shards.push(ShardMade { shard, position: recovered.report.next.0 });
    }
    files.insert("shards".to_owned(), 2);
    Manifest::new(shards, files).write(data, "backup.json").expect("it can be written");
}

fn files_read_only(data: &Path, shard: u16) -> Files {
    files(data, ShardId(shard))
}
