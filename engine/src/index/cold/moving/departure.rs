//! Taking an account apart.
//!
//! *Owns*: how far one account has been told. *Promises*: every piece that makes up the account once, the last of
//! them `Done`; no piece holds more than `limits::ARRIVAL_MESSAGES_MAX` messages. *Assumes*: the account stays as it is
//! until then. *Never*: reads rows before their turn comes.

use bytes::Bytes;

use super::facts;
use crate::arrival::{Arrival, Moved};
use crate::ids::{AccountId, MailboxId, Uid};
use crate::index::Index;
use crate::limits::{ARRIVAL_BYTES, ARRIVAL_MESSAGES_MAX, ARRIVAL_RUNS};

/// Where a departure stands.
///
/// ```text
///  Account ─► Subscriptions(after) ─► Mailbox ─► History(told) ─► Messages(next) ─┬─► Done ─► End
///                                        ▲─────────────── another mailbox ────────┘
/// ```
#[derive(Clone, Debug)]
enum Stage {
    Account,
    Subscriptions(String),
    Mailbox(MailboxId),
    History(MailboxId, usize),
    Messages(MailboxId, Uid),
    Done,
    End,
}

/// See the module's head.
#[derive(Clone, Debug)]
pub struct Departure {
    account: AccountId,
    stage: Stage,
}

impl Departure {
    /// Of an account from its beginning.
    pub fn new(account: AccountId) -> Departure {
        Departure { account, stage: Stage::Account }
    }

    /// The next piece; none when all is told, or when there is no such account any more. Its messages name bodies of
    /// this log.
    pub fn next(&mut self, index: &Index) -> Option<Arrival> {
        let account = index.account(self.account)?.0;
        loop {
            match self.stage.clone() {
                Stage::Account => {
                    self.stage = Stage::Subscriptions(String::new());
                    let mut out = Vec::new();
                    facts::put_account(&mut out, account);
                    let address = account.address.clone();
                    return Some(Arrival::Account { address, facts: out.into() });
                }
                Stage::Subscriptions(after) => {
                    let mut bytes = 0;
                    let mut fits = |name: &&str| {
                        bytes += name.len();
                        bytes <= ARRIVAL_BYTES || bytes == name.len()
                    };
                    let left = index.account(self.account)?.subscriptions_after(&after);
                    let names: Vec<String> = left.take_while(|name| fits(name)).map(str::to_owned).collect();
                    self.stage = match names.last() {
                        Some(last) => Stage::Subscriptions(last.clone()),
                        None => Stage::Mailbox(MailboxId(0)),
                    };
                    if !names.is_empty() {
                        return Some(Arrival::Subscriptions(names));
                    }
                }
                Stage::Mailbox(after) => {
                    let next = account.mailboxes.range(MailboxId(after.0 + 1)..).next();
                    let Some((&id, mailbox)) = next else {
                        self.stage = Stage::Done;
                        continue;
                    };
                    self.stage = Stage::History(id, 0);
                    let mut out = Vec::new();
                    facts::put_mailbox(&mut out, mailbox);
                    return Some(Arrival::Mailbox(Bytes::from(out)));
                }
                Stage::History(id, told) => {
                    let history = &account.mailboxes.get(&id)?.expunges;
                    if history.is_new() || told > 0 && told >= history.len() {
                        self.stage = Stage::Messages(id, Uid(0));
                        continue;
                    }
                    self.stage = Stage::History(id, told + ARRIVAL_RUNS);
                    let mut out = Vec::new();
                    history.part(told, ARRIVAL_RUNS).write(&mut out);
                    return Some(Arrival::History { mailbox: id, runs: out.into() });
                }
                Stage::Messages(id, next) => match messages(index, self.account, id, next) {
                    Some((messages, last)) => {
                        self.stage = Stage::Messages(id, Uid(last.0 + 1));
                        return Some(Arrival::Messages { mailbox: id, messages });
                    }
                    None => self.stage = Stage::Mailbox(id),
                },
                Stage::Done => {
                    self.stage = Stage::End;
                    let mailboxes = account.mailboxes.len() as u64;
                    let (messages, bytes) = (account.messages, account.bytes);
                    return Some(Arrival::Done { mailboxes, messages, bytes });
                }
                Stage::End => return None,
            }
        }
    }
}

/// Messages of a mailbox from a UID on, and the last one's UID; none when there are none.
fn messages(index: &Index, account: AccountId, id: MailboxId, from: Uid) -> Option<(Vec<Moved>, Uid)> {
    let mailbox = index.mailbox(account, id)?;
    let first = mailbox.rank(from);
    let places = first..mailbox.len().min(first + ARRIVAL_MESSAGES_MAX);
    let mut own = mailbox.unique_ids_from(from).peekable();
    let moved = places.map(|place| {
        let mut message = mailbox.message(place);
        message.known_as = message.email(index.shard);
        let unique_id = own.next_if(|(uid, _)| *uid == message.uid).map(|(_, text)| text.to_owned());
        Moved { message, unique_id }
    });
    let moved: Vec<Moved> = moved.collect();
    let last = moved.last()?.message.uid;
    Some((moved, last))
}
