//! What clients of a store would do, by a seed.
//!
//! *Owns*: the choice of changes. *Promises*: names things that are there, mostly.
//! *Assumes*: nothing of how the store works. *Never*: checks.

use bytes::Bytes;
use ringpost_engine::change::{
    Change, FlagBits, FlagOp, Flags, ImportedMessage, NewMessage, QuotaLimits, Rights, Services, UidSet,
    UniqueIdForm,
};
use ringpost_engine::ids::{AccountId, BodyId, MailboxId, ModSeq, Uid};
use ringpost_engine::store::Store;
use ringpost_engine::testing::seed::Seed;

use crate::swarm::HOME;

const KEYWORDS: [&str; 4] = ["$Junk", "todo", "$Forwarded", "later"];
const ENTRIES: [&str; 3] = ["/private/comment", "/shared/comment", "/shared/vendor/x"];
const NAMES: [&str; 6] = ["a", "b", "a/c", "Sent", "b/d/e", "x"];

/// A body of this size, recognisable wherever it turns up.
pub fn octets(seed: &mut Seed, bytes_max: u64) -> Bytes {
    let len = if seed.one_in(16) { seed.below(bytes_max) } else { seed.below(600) } as usize;
    let mut octets = seed.number().to_le_bytes().repeat(len / 8 + 1);
    octets.truncate(len);
    octets.into()
}

/// The next change, and whose.
pub fn change(seed: &mut Seed, store: &Store, bodies: &[BodyId], structural: bool) -> (AccountId, Change) {
    let accounts: Vec<AccountId> = store.accounts_after("").map(|account| account.id()).collect();
    let Some(&account) = seed.pick(&accounts).filter(|_| accounts.len() > 1) else {
        return create(seed, store);
    };
    let kind = if structural && seed.one_in(3) { 78 + seed.below(8) } else { seed.below(138) };
    let change = match kind {
        0..45 => deliver(seed, store, account, bodies),
        45..60 => flags_store(seed, store, account),
        60..70 => {
            let (mailbox, uids) = messages_of(seed, store, account);
            Change::Expunge { mailbox, uids, only_deleted: seed.one_in(2) }
        }
        70..78 => {
            let (from, uids) = messages_of(seed, store, account);
            Change::Copy { from, to: mailbox(seed, store, account), uids, expunge: seed.one_in(2) }
        }
        78..82 => Change::MailboxCreate { name: name(seed), special_use: None },
        82..84 => Change::MailboxRename { mailbox: mailbox(seed, store, account), to: name(seed) },
        84..86 => Change::MailboxDelete { mailbox: mailbox(seed, store, account) },
        86..89 => Change::Subscribe { name: name(seed), on: seed.one_in(2) },
        89..92 => {
            Change::RecentSeen { mailbox: mailbox(seed, store, account), below: Uid(seed.below(20) as u32) }
        }
        92..94 => Change::AccountPassword { password_hash: format!("hash{}", seed.below(9)) },
        94..97 => return (AccountId(0), directory(seed)),
        97 if seed.one_in(4) => Change::AccountDelete,
        97..100 => return create(seed, store),
        100..108 => append(seed, store, account, bodies),
        122..127 => adopt(seed, store, account),
        127..132 => import(seed, store, account, bodies),
        132.. => restore(seed, store, account),
        _ => policy(seed, store, account),
    };
    (account, change)
}

fn create(seed: &mut Seed, store: &Store) -> (AccountId, Change) {
    // Of the shard of every run the addresses repeat, wherever its store is.
    let whose = if store.shard() == HOME { 'u' } else { 'v' };
    let change = Change::AccountCreate {
        address: format!("{whose}{}@example.test", seed.below(6)),
        password_hash: "hash".to_owned(),
        services: Services::ALL,
        mailboxes: vec![("Sent".to_owned(), None)],
    };
    (AccountId(0), change)
}

fn directory(seed: &mut Seed) -> Change {
    let name = format!("d{}.test", seed.below(4));
    let address = format!("alias@{name}");
    match seed.below(4) {
        0 => Change::DomainDelete { name },
        1 => Change::DomainAdd { name },
        2 => Change::AliasDelete { address },
        _ => Change::AliasSet { address, targets: vec![format!("u{}@example.test", seed.below(6))] },
    }
}

fn deliver(seed: &mut Seed, store: &Store, account: AccountId, bodies: &[BodyId]) -> Change {
    let body = seed.pick(bodies).copied().unwrap_or_default();
    Change::Deliver {
        mailbox: mailbox(seed, store, account),
        body,
        flags: flags(seed),
        internal_ms: seed.below(9_000),
    }
}

fn append(seed: &mut Seed, store: &Store, account: AccountId, bodies: &[BodyId]) -> Change {
    let message = |seed: &mut Seed| NewMessage {
        body: seed.pick(bodies).copied().unwrap_or_default(),
        flags: flags(seed),
        internal_ms: seed.below(9_000),
    };
    let messages = (0..=seed.below(3)).map(|_| message(seed)).collect();
    let replaces = seed.one_in(2).then(|| {
        let (of, uids) = messages_of(seed, store, account);
        (of, uids.first().unwrap_or_default())
    });
    Change::Append { mailbox: mailbox(seed, store, account), messages, replaces }
}

/// All messages of some mailbox leave it.
pub fn purge(seed: &mut Seed, store: &Store) -> Option<(AccountId, Change)> {
    let accounts: Vec<AccountId> = store.accounts_after("").map(|account| account.id()).collect();
    let account = *seed.pick(&accounts)?;
    let mut uids = UidSet::new();
    uids.push_range(Uid(1), Uid(u32::MAX - 1));
    let mailbox = mailbox(seed, store, account);
    Some((account, Change::Expunge { mailbox, uids, only_deleted: false }))
}

/// Something that left a mailbox of this account, or of one that is gone.
fn restore(seed: &mut Seed, store: &Store, account: AccountId) -> Change {
    let gone: Vec<AccountId> = store
        .buried_mailboxes()
        .map(|gone| gone.account)
        .filter(|&of| of == account || store.account(of).is_none())
        .collect();
    let of = seed.pick(&gone).copied().unwrap_or(account);
    let buried: Vec<_> = store.buried(of).collect();
    let from = seed.pick(&buried).map(|buried| buried.mailbox).unwrap_or_default();
    let left = buried.iter().filter(|buried| buried.mailbox == from).map(|buried| buried.message.uid);
    let uids = left.take(1 + seed.below(6) as usize).collect();
    Change::Restore { of, from, uids, to: mailbox(seed, store, account) }
}

/// Few UIDVALIDITYs, so that they would repeat if they could.
fn adopt(seed: &mut Seed, store: &Store, account: AccountId) -> Change {
    let unique_ids = if seed.one_in(2) { UniqueIdForm::Dovecot } else { UniqueIdForm::Own };
    let uid_validity = seed.below(5) as u32;
    Change::MailboxAdopt { mailbox: mailbox(seed, store, account), uid_validity, unique_ids }
}

/// UIDs from a little below UIDNEXT on.
fn import(seed: &mut Seed, store: &Store, account: AccountId, bodies: &[BodyId]) -> Change {
    let mailbox = mailbox(seed, store, account);
    let uid_next = store.mailbox(account, mailbox).map_or(1, |mailbox| mailbox.uid_next().0);
    let renumbered = seed.one_in(3);
    let mut uid = uid_next.saturating_sub(1);
    let mut message = |seed: &mut Seed| {
        uid += seed.below(4) as u32;
        let body = seed.pick(bodies).copied().unwrap_or_default();
        let message = NewMessage { body, flags: flags(seed), internal_ms: seed.below(9_000) };
        let unique_id = seed.one_in(3).then(|| format!("id{}", seed.below(99)));
        ImportedMessage { uid: Uid(if renumbered { 0 } else { uid }), message, unique_id }
    };
    let messages = (0..seed.below(4)).map(|_| message(seed)).collect();
    Change::Import { mailbox, messages, uid_next: Uid(uid_next + seed.below(9) as u32) }
}

/// What is not mail.
fn policy(seed: &mut Seed, store: &Store, account: AccountId) -> Change {
    let mailbox = mailbox(seed, store, account);
    let maybe = |seed: &mut Seed| (!seed.one_in(4)).then_some(mailbox);
    match seed.below(14) {
        0..4 => {
            let entry = |seed: &mut Seed| {
                let name = seed.pick(&ENTRIES).expect("some").to_string();
                (name, (!seed.one_in(3)).then(|| Bytes::from(vec![7; seed.below(40) as usize])))
            };
            let entries = (0..seed.below(3)).map(|_| entry(seed)).collect();
            Change::Metadata { mailbox: maybe(seed), entries }
        }
        4..8 => {
            let identifier = seed.pick(&["anyone", "u1@example.test", "-u2@example.test"]).expect("some");
            let rights = (!seed.one_in(3)).then(|| Rights::from_bits(seed.below(2048) as u16)).flatten();
            Change::Acl { mailbox, identifier: identifier.to_string(), rights }
        }
        8..10 => {
            let limit = |seed: &mut Seed, below| seed.one_in(2).then(|| seed.below(below));
            let (storage_kib, messages) = (limit(seed, 300), limit(seed, 30));
            Change::Quota { limits: QuotaLimits { storage_kib, messages, mailboxes: limit(seed, 40) } }
        }
        10..12 => Change::UrlKey { mailbox: maybe(seed) },
        12 => Change::AccountHide { capabilities: vec![format!("X{}", seed.below(3))] },
        _ => Change::AccountReferral { url: seed.one_in(2).then(|| "imap://other.test/".to_owned()) },
    }
}

fn flags_store(seed: &mut Seed, store: &Store, account: AccountId) -> Change {
    let (mailbox, uids) = messages_of(seed, store, account);
    let op = *seed.pick(&[FlagOp::Add, FlagOp::Remove, FlagOp::Replace]).expect("three");
    let unchanged_since = seed.one_in(4).then(|| ModSeq(seed.below(60)));
    Change::FlagsStore { mailbox, uids, op, flags: flags(seed), unchanged_since }
}

fn flags(seed: &mut Seed) -> Flags {
    let keyword = seed.one_in(3).then(|| seed.pick(&KEYWORDS).expect("some").to_string());
    Flags { system: FlagBits(seed.below(32)), keywords: keyword.into_iter().collect() }
}

fn name(seed: &mut Seed) -> String {
    seed.pick(&NAMES).expect("some").to_string()
}

fn mailbox(seed: &mut Seed, store: &Store, account: AccountId) -> MailboxId {
    let all = store.account(account).map(|account| account.mailboxes().map(|m| m.id()).collect::<Vec<_>>());
    match seed.one_in(20) {
        true => MailboxId(seed.below(30) as u32),
        false => all.and_then(|all| seed.pick(&all).copied()).unwrap_or_default(),
    }
}

fn messages_of(seed: &mut Seed, store: &Store, account: AccountId) -> (MailboxId, UidSet) {
    let mailbox = mailbox(seed, store, account);
    let uid_next = store.mailbox(account, mailbox).map_or(1, |mailbox| mailbox.uid_next().0);
    let first = seed.below(u64::from(uid_next)) as u32 + 1;
    let mut uids = UidSet::new();
    uids.push_range(Uid(first), Uid(first + seed.below(4) as u32));
    (mailbox, uids)
}
