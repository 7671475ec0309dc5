//! What happened to a mailbox, or to a whole account: who made, renamed, shared, emptied and deleted it.
//!
//! *Owns*: which changes belong to it, and their lines. *Promises*: follows a mailbox through all its names, and an
//! address through all accounts that had it; of messages it tells only which left. *Assumes*: two passes in order:
//! which mailboxes are meant, then what happened to them. *Never*: names a session that the log does not.

use std::collections::BTreeSet;

use ringpost_engine::change::{Change, Stamp};
use ringpost_engine::codec;
use ringpost_engine::ids::{AccountId, MailboxId};
use ringpost_engine::index::names;
use ringpost_engine::log::record::{KIND_BODY, KIND_WITNESS};
use ringpost_engine::log::scan::{BatchInfo, Damage, RecordInfo, SegmentInfo, Visitor};
use serde_json::{Map, Value, json};

use crate::data::Shard;
use crate::describe;
use crate::output::{Output, moment, number, plain};
use crate::show::filter::Wanted;
use crate::track::{Effect, Tracker};
use crate::who::{By, Who};

/// Whose annals.
#[derive(Debug, PartialEq, Eq)]
pub struct Subject {
    /// The account as it was written.
    pub account: String,
    /// A mailbox's full name; none for the account.
    pub mailbox: Option<String>,
}

impl Subject {
    /// For people.
    pub fn text(&self) -> String {
        match &self.mailbox {
            Some(mailbox) => format!("mailbox {} of {}", plain(mailbox), plain(&self.account)),
            None => format!("account {}", plain(&self.account)),
        }
    }
}

/// The first pass: which accounts and mailboxes are meant.
pub struct Members<'s> {
    subject: &'s Subject,
    wanted: Wanted,
    tracker: Tracker,
    accounts: BTreeSet<AccountId>,
    mailboxes: BTreeSet<(AccountId, MailboxId)>,
    /// Where the log cannot be read: what is looked for may be there.
    pub damages: Vec<Damage>,
}

impl<'s> Members<'s> {
    /// Before the first record; with the names of what the log's changes do not tell any more.
    pub fn new(subject: &'s Subject, tracker: Tracker) -> Members<'s> {
        Members {
            subject,
            wanted: Wanted::parse(&subject.account),
            tracker,
            accounts: BTreeSet::new(),
            mailboxes: BTreeSet::new(),
            damages: Vec::new(),
        }
    }

    /// Whether nothing that is meant ever was.
    pub fn is_empty(&self) -> bool {
        match self.subject.mailbox {
            Some(_) => self.mailboxes.is_empty(),
            None => self.accounts.is_empty(),
        }
    }
}

impl Visitor for Members<'_> {
    fn segment(&mut self, _segment: &SegmentInfo) {}

    fn batch(&mut self, _batch: &BatchInfo) {}

    fn record(&mut self, record: &RecordInfo, payload: &[u8]) {
        let Some((change, stamp)) = change(record, payload) else { return };
        let account = record.meta.account;
        self.tracker.apply(account, &change, &stamp);
        if !self.wanted.is(account, self.tracker.address(account)) {
            return;
        }
        self.accounts.insert(account);
        let named = self.subject.mailbox.as_deref();
        let named = named.and_then(|name| self.tracker.mailbox_by_name(account, name));
        self.mailboxes.extend(named.map(|mailbox| (account, mailbox)));
    }

    fn damage(&mut self, damage: &Damage) {
        self.damages.push(damage.clone());
    }
}

fn change(record: &RecordInfo, payload: &[u8]) -> Option<(Change, Stamp)> {
    match record.meta.kind {
        KIND_BODY | KIND_WITNESS => None,
        kind => codec::decode(kind, payload),
    }
}

/// The second pass: tells each event as it goes by.
pub struct Annals<'a> {
    members: Members<'a>,
    shard: &'a Shard,
    output: &'a mut Output,
    who: Who,
    tracker: Tracker,
    /// Damage that was passed over.
    pub damages: Vec<Damage>,
    /// Whether some event has nobody's name.
    pub nameless: bool,
}

impl<'a> Annals<'a> {
    /// Of these.
    pub fn new(
        members: Members<'a>,
        tracker: Tracker,
        shard: &'a Shard,
        output: &'a mut Output,
    ) -> Annals<'a> {
        let who = Who::new(shard);
        Annals { members, shard, output, who, tracker, damages: Vec::new(), nameless: false }
    }

    /// What a change was to one of the mailboxes that are meant.
    fn of_mailbox(
        &self,
        (account, id): (AccountId, MailboxId),
        before: &Before,
        change: &Change,
        effect: &Effect,
    ) -> Option<Told> {
        let now = |mailbox: MailboxId| self.tracker.mailbox(account, mailbox).map(plain);
        let name = match (&before.name, now(id)) {
            (None, None) => return None,
            (None, Some(name)) => return Some(told("created", format!("made as {name}"))),
            (Some(name), None) => {
                let how = if *change == Change::AccountDelete { "gone with its account" } else { "deleted" };
                let text = format!("{how}: {}, with {} messages", plain(name), before.messages);
                return Some(told("deleted", text).count(before.messages));
            }
            (Some(name), Some(now)) if plain(name) != now => {
                return Some(told("renamed", format!("renamed from {} to {now}", plain(name))));
            }
            (Some(name), Some(_)) => name,
        };
        match (change, effect) {
            (Change::Subscribe { name: meant, on }, _) if names::canonical(meant) == name.as_str() => {
                let word = if *on { "subscribed" } else { "unsubscribed" };
                Some(told(word, word.to_owned()))
            }
            (Change::Acl { mailbox, .. }, _) if *mailbox == id => {
                let fields = describe::fields(change, &Stamp::default());
                Some(Told {
                    word: "shared",
                    text: format!("access control: {}", describe::text(&fields)),
                    more: fields,
                })
            }
            (_, Effect::Expunged { mailbox, uids }) if *mailbox == id && !uids.is_empty() => {
                Some(told("emptied", format!("{} messages expunged", uids.len())).count(uids.len()))
            }
            (_, Effect::Copied { from, to, uids, moved: true, .. }) if *from == id && !uids.is_empty() => {
                let text = format!("{} messages moved to {}", uids.len(), now(*to).unwrap_or_default());
                Some(told("emptied", text).count(uids.len()))
            }
            _ => None,
        }
    }

    /// A mailbox before a change.
    fn before(&self, account: AccountId, mailbox: MailboxId) -> Before {
        let name = self.tracker.mailbox(account, mailbox).map(str::to_owned);
        Before { name, messages: self.tracker.messages(account, mailbox) }
    }

    /// What a change was to all of them.
    fn mailboxes(&mut self, account: AccountId, change: &Change, stamp: &Stamp) -> Vec<Told> {
        let own = self.members.mailboxes.iter().filter(|(of, _)| *of == account);
        let own: Vec<(MailboxId, Before)> = own.map(|&(_, id)| (id, self.before(account, id))).collect();
        if !self.tracker.follows(account) && !matches!(change, Change::AccountCreate { .. }) {
            return own.iter().filter_map(|(id, _)| untracked(*id, change)).collect();
        }
        let effect = self.tracker.apply(account, change, stamp);
        let told = own.iter().map(|(id, before)| self.of_mailbox((account, *id), before, change, &effect));
        told.flatten().collect()
    }

    fn line(&mut self, record: &RecordInfo, stamp: &Stamp, event: &Told) {
        let by = self.who.asked(record.lsn, record.meta.session);
        self.nameless |= by == By::Nobody;
        let account = record.meta.account;
        let mut object = json!({
            "type": "event", "shard": number(self.shard), "lsn": record.lsn.0, "time": moment(stamp.time_ms),
            "account": account.0, "address": self.tracker.address(account), "event": event.word, "by": by.json(),
        });
        if let Value::Object(all) = &mut object {
            all.extend(event.more.clone());
        }
        self.output.line(&object, || {
            let mut text = format!("  {} {:>12}  {}", moment(stamp.time_ms), record.lsn, event.text);
            if let Some(by) = by.text() {
                text += &format!("\n{:41}by {by}", "");
            }
            text
        });
    }
}

/// A mailbox as it was.
struct Before {
    name: Option<String>,
    messages: u64,
}

/// An event.
struct Told {
    word: &'static str,
    text: String,
    more: Map<String, Value>,
}

impl Told {
    fn count(mut self, messages: u64) -> Told {
        self.more.insert("messages".to_owned(), messages.into());
        self
    }
}

fn told(word: &'static str, text: String) -> Told {
    Told { word, text, more: Map::new() }
}

/// What a change asks of a mailbox whose beginning the log does not tell any more.
fn untracked(id: MailboxId, change: &Change) -> Option<Told> {
    match change {
        Change::AccountDelete => Some(told("deleted", "gone with its account".to_owned())),
        Change::MailboxDelete { mailbox } if *mailbox == id => Some(told("deleted", "deleted".to_owned())),
        Change::MailboxRename { mailbox, to } if *mailbox == id => {
            Some(told("renamed", format!("renamed to {}", plain(to))))
        }
        Change::Expunge { mailbox, .. } if *mailbox == id => {
            Some(told("emptied", "messages expunged".to_owned()))
        }
        Change::Copy { from, expunge: true, .. } if *from == id => {
            Some(told("emptied", "messages moved away".to_owned()))
        }
        Change::Acl { mailbox, .. } if *mailbox == id => {
            let fields = describe::fields(change, &Stamp::default());
            Some(Told {
                word: "shared",
                text: format!("access control: {}", describe::text(&fields)),
                more: fields,
            })
        }
        _ => None,
    }
}

/// Changes of an account itself and of its mailboxes; none of messages.
fn of_account(change: &Change, before: &Before) -> Option<Told> {
    let fields = describe::fields(change, &Stamp::default());
    let mailbox = before.name.as_deref().unwrap_or("a mailbox");
    let (word, text) = match change {
        Change::AccountCreate { address, .. } => ("created", format!("made as {}", plain(address))),
        Change::AccountDelete => ("deleted", "deleted with all that it held".to_owned()),
        Change::AccountPassword { .. } => ("password", "got another password".to_owned()),
        Change::MailboxCreate { name, .. } => ("mailbox-created", format!("mailbox {} made", plain(name))),
        Change::MailboxDelete { .. } => {
            let (name, messages) = (plain(mailbox), before.messages);
            return Some(
                told("mailbox-deleted", format!("mailbox {name} deleted with {messages} messages"))
                    .count(messages),
            );
        }
        Change::MailboxRename { to, .. } => {
            ("mailbox-renamed", format!("mailbox {} renamed to {}", plain(mailbox), plain(to)))
        }
        Change::AccountServices { .. }
        | Change::Quota { .. }
        | Change::AccountHide { .. }
        | Change::AccountReferral { .. }
        | Change::Restore { .. }
        | Change::UrlKey { .. }
        | Change::Acl { .. } => {
            ("changed", format!("{} {}", describe::kind(change), describe::text(&fields)))
        }
        _ => return None,
    };
    Some(Told { word, text, more: fields })
}

impl Visitor for Annals<'_> {
    fn segment(&mut self, _segment: &SegmentInfo) {}

    fn batch(&mut self, _batch: &BatchInfo) {}

    fn record(&mut self, record: &RecordInfo, payload: &[u8]) {
        let Some((change, stamp)) = change(record, payload) else { return };
        if let Change::Session { about } = &change {
            return self.who.learn(record.lsn, about);
        }
        let account = record.meta.account;
        if !self.members.accounts.contains(&account) {
            return;
        }
        let told = match self.members.subject.mailbox {
            Some(_) => self.mailboxes(account, &change, &stamp),
            None => {
                let before = match &change {
                    Change::MailboxDelete { mailbox } | Change::MailboxRename { mailbox, .. } => {
                        self.before(account, *mailbox)
                    }
                    _ => Before { name: None, messages: 0 },
                };
                self.tracker.apply(account, &change, &stamp);
                of_account(&change, &before).into_iter().collect()
            }
        };
        told.iter().for_each(|event| self.line(record, &stamp, event));
    }

    fn damage(&mut self, damage: &Damage) {
        self.damages.push(damage.clone());
    }
}
