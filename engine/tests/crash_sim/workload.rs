//! What clients of a store would do, by a seed.
//!
//! *Owns*: the choice of changes. *Promises*: names things that are there, mostly.
//! *Assumes*: nothing of how the store works. *Never*: checks.

use bytes::Bytes;
use ringpost_engine::change::{Change, FlagBits, FlagOp, Flags, Services, UidSet};
use ringpost_engine::ids::{AccountId, BodyId, MailboxId, ModSeq, Uid};
use ringpost_engine::store::Store;
use ringpost_engine::testing::seed::Seed;

const KEYWORDS: [&str; 4] = ["$Junk", "todo", "$Forwarded", "later"];
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
    let Some(&account) = seed.pick(&accounts).filter(|_| accounts.len() > 1) else { return create(seed) };
    let kind = if structural && seed.one_in(3) { 78 + seed.below(8) } else { seed.below(100) };
    let change = match kind {
        0..45 => deliver(seed, store, account, bodies),
        45..60 => flags_store(seed, store, account),
        60..70 => {
            let (mailbox, uids) = messages(seed, store, account);
            Change::Expunge { mailbox, uids, only_deleted: seed.one_in(2) }
        }
        70..78 => {
            let (from, uids) = messages(seed, store, account);
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
        _ => return create(seed),
    };
    (account, change)
}

fn create(seed: &mut Seed) -> (AccountId, Change) {
    let change = Change::AccountCreate {
        address: format!("u{}@example.test", seed.below(6)),
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
        internal_ms: seed.below(9),
    }
}

fn flags_store(seed: &mut Seed, store: &Store, account: AccountId) -> Change {
    let (mailbox, uids) = messages(seed, store, account);
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

fn messages(seed: &mut Seed, store: &Store, account: AccountId) -> (MailboxId, UidSet) {
    let mailbox = mailbox(seed, store, account);
    let uid_next = store.mailbox(account, mailbox).map_or(1, |mailbox| mailbox.uid_next().0);
    let first = seed.below(u64::from(uid_next)) as u32 + 1;
    let mut uids = UidSet::new();
    uids.push_range(Uid(first), Uid(first + seed.below(4) as u32));
    (mailbox, uids)
}
