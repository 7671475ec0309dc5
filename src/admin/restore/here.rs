//! The account as it is now, and what was removed from it.
//!
//! *Owns*: asking for it, and the steps that change it. *Promises*: one listing at a time in memory. *Assumes*: the
//! server's answers. *Never*: decides.

use std::collections::BTreeSet;

use super::ask::{Ask, Each};
use super::wire::RestoreStep;
use crate::admin::import::wire::ImportStep;
use crate::admin::wire::{GoneLine, Line, Request};
use crate::shard::admin::restore::{RESTORED, UNFINISHED};

/// A mailbox that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mailbox {
    /// Its id.
    pub id: u32,
    /// Full name.
    pub name: String,
    /// `\Sent` and the like, or empty.
    pub special_use: String,
    /// It holds no messages, only a name.
    pub no_select: bool,
    /// UIDVALIDITY.
    pub uid_validity: u32,
    /// UIDNEXT.
    pub uid_next: u32,
    /// UIDs below are those of a store that it was imported from, or of a backup.
    pub imported_next: u32,
    /// Which deleted mailbox a restore made it for; empty for others.
    pub restored: String,
    /// Keywords in order of their bits.
    pub keywords: Vec<String>,
}

/// A mailbox that was deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GoneMailbox {
    /// The id of the account it was in.
    pub of: u64,
    /// Its own.
    pub id: u32,
    /// Full name.
    pub name: String,
    /// Keywords in order of their bits.
    pub keywords: Vec<String>,
    /// When it went, milliseconds since 1970.
    pub gone_ms: u64,
}

/// What a mailbox is marked with that was made for another.
pub fn mark(of: u64, mailbox: u32) -> String {
    format!("{of}.{mailbox}")
}

/// What is there, messages aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The shard that answers for the address.
    pub shard: u16,
    /// The account's id; none when there is no account.
    pub account: Option<u64>,
    /// Mailboxes in order of name.
    pub mailboxes: Vec<Mailbox>,
    /// Subscribed names.
    pub subscribed: BTreeSet<String>,
    /// Deleted mailboxes, those of accounts that had the address before included.
    pub gone: Vec<GoneMailbox>,
    /// What left at or before this moment cannot be had back.
    pub reaped_ms: u64,
    /// A restore has made the account and not come to its end.
    pub unfinished: bool,
}

impl State {
    /// A mailbox by its name.
    pub fn named(&self, name: &str) -> Option<&Mailbox> {
        self.mailboxes.iter().find(|mailbox| mailbox.name == name)
    }

    /// The ids of the account and of those that had its address before, ascending.
    pub fn accounts(&self) -> Vec<u64> {
        let all: BTreeSet<u64> =
            self.account.into_iter().chain(self.gone.iter().map(|gone| gone.of)).collect();
        all.into_iter().collect()
    }
}

/// A message that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// UID.
    pub uid: u32,
    /// Octets.
    pub size: u32,
    /// INTERNALDATE, milliseconds since 1970.
    pub internal_ms: u64,
    /// The number in its EMAILID.
    pub body: u64,
    /// When it came into the mailbox, milliseconds since 1970, in whole seconds.
    pub saved_ms: u64,
    /// `\Seen` and the like, and keywords.
    pub flags: Vec<String>,
    /// The POP3 unique-id that it was brought in with.
    pub unique_id: Option<String>,
    /// Its octets are not what was written: nobody is shown them.
    pub hidden: bool,
}

/// What came of putting messages back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutBack {
    /// The mailbox is another since it was looked at: nothing was done.
    pub changed: bool,
    /// UIDs they had, in ranges.
    pub source: Vec<(u32, u32)>,
    /// UIDs they have now, in ranges.
    pub target: Vec<(u32, u32)>,
}

/// An account of a store.
pub struct Here<'a> {
    ask: &'a dyn Ask,
    address: String,
}

fn unexpected(line: Line) -> String {
    format!("the server answered something else: {line:?}")
}

impl<'a> Here<'a> {
    /// This address, in the store that answers.
    pub fn new(ask: &'a dyn Ask, address: &str) -> Here<'a> {
        Here { ask, address: address.to_owned() }
    }

    /// Whose it is.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Learns what there is.
    pub fn state(&self) -> Result<State, String> {
        let mut state = State::default();
        self.restore(RestoreStep::State, &mut |line| {
            match line {
                Line::Owner { shard, reaped_ms, unfinished } => {
                    (state.shard, state.reaped_ms, state.unfinished) = (shard, reaped_ms, unfinished);
                }
                Line::Account { id, .. } => state.account = Some(id),
                Line::Subscription { name } => drop(state.subscribed.insert(name)),
                Line::GoneMailbox { of, mailbox, name, keywords, gone_ms, .. } => {
                    state.gone.push(GoneMailbox { of, id: mailbox, name, keywords, gone_ms });
                }
                line @ Line::Mailbox { .. } => state.mailboxes.extend(mailbox(line)),
                other => return Err(unexpected(other)),
            }
            Ok(())
        })?;
        Ok(state)
    }

    /// Tells the messages that left between two moments, in that order.
    pub fn gone(
        &self,
        of: Vec<u64>,
        (since_ms, until_ms): (u64, u64),
        texts: bool,
        each: &mut dyn FnMut(GoneLine) -> Result<(), String>,
    ) -> Result<(), String> {
        let step = RestoreStep::Gone { of, since_ms, until_ms, texts };
        self.restore(step, &mut |line| match line {
            Line::Gone(gone) => each(gone),
            other => Err(unexpected(other)),
        })
    }

    /// Octets of the largest message that the store takes.
    pub fn message_bytes_max(&self) -> Result<usize, String> {
        let mut most = None;
        self.import(ImportStep::Bounds, &[], &mut |line| match line {
            Line::Bounds { message_bytes_max } => {
                most = Some(message_bytes_max);
                Ok(())
            }
            other => Err(unexpected(other)),
        })?;
        most.ok_or_else(|| "the server did not tell what it takes".to_owned())
    }

    /// Tells the messages of a mailbox above a UID, ascending.
    pub fn messages(&self, mailbox: &str, after: u32, each: &mut dyn FnMut(Held)) -> Result<(), String> {
        let step = ImportStep::Messages { mailbox: mailbox.to_owned(), after };
        self.import(step, &[], &mut |line| match line {
            Line::Message { uid, size, internal_ms, body, saved_ms, flags, unique_id, hidden } => {
                each(Held { uid, size, internal_ms, body, saved_ms, flags, unique_id, hidden });
                Ok(())
            }
            other => Err(unexpected(other)),
        })
    }

    /// Makes a mailbox for one that was deleted. It is subscribed, so that clients show it.
    pub fn make(&self, name: &str, special_use: &str, mark: &str) -> Result<(), String> {
        let (name, special_use) = (name.to_owned(), special_use.to_owned());
        self.change(ImportStep::Create { name: name.clone(), special_use })?;
        if !mark.is_empty() {
            self.sign(&name, mark)?;
        }
        self.change(ImportStep::Subscribe { name })
    }

    /// Marks a mailbox, so that another run finds it.
    pub fn sign(&self, name: &str, mark: &str) -> Result<(), String> {
        self.annotate(Some(name), RESTORED, mark.as_bytes())
    }

    /// Sets an annotation of a mailbox, or of the account.
    pub fn annotate(&self, mailbox: Option<&str>, entry: &str, value: &[u8]) -> Result<(), String> {
        use base64::Engine;
        let value = Some(base64::engine::general_purpose::STANDARD.encode(value));
        let (mailbox, entry) = (mailbox.map(str::to_owned), entry.to_owned());
        self.step(RestoreStep::Annotate { mailbox, entry, value })
    }

    /// The account has all that belongs to it.
    pub fn finish(&self) -> Result<(), String> {
        self.step(RestoreStep::Annotate { mailbox: None, entry: UNFINISHED.to_owned(), value: None })
    }

    /// Puts messages back.
    pub fn put_back(&self, step: RestoreStep) -> Result<PutBack, String> {
        let mut told = PutBack::default();
        self.restore(step, &mut |line| match line {
            Line::PutBack { changed, source, target } => {
                told = PutBack { changed, source, target };
                Ok(())
            }
            other => Err(unexpected(other)),
        })?;
        Ok(told)
    }

    /// Carries a step out that answers nothing.
    pub fn step(&self, step: RestoreStep) -> Result<(), String> {
        self.restore(step, &mut |line| Err(unexpected(line)))
    }

    /// The same of an import.
    pub fn change(&self, step: ImportStep) -> Result<(), String> {
        self.import(step, &[], &mut |line| Err(unexpected(line)))
    }

    /// Any request about the account.
    pub fn request(&self, request: &Request, each: &mut Each<'_>) -> Result<(), String> {
        self.ask.ask(request, &[], each)
    }

    /// A step of an import, with the octets that follow it.
    pub fn import(&self, step: ImportStep, octets: &[u8], each: &mut Each<'_>) -> Result<(), String> {
        self.ask.ask(&Request::Import { address: self.address.clone(), step }, octets, each)
    }

    fn restore(&self, step: RestoreStep, each: &mut Each<'_>) -> Result<(), String> {
        self.ask.ask(&Request::Restore { address: self.address.clone(), step }, &[], each)
    }
}

fn mailbox(line: Line) -> Option<Mailbox> {
    let Line::Mailbox {
        name,
        id,
        special_use,
        no_select,
        uid_validity,
        uid_next,
        imported_next,
        restored,
        keywords,
        ..
    } = line
    else {
        return None;
    };
    Some(Mailbox {
        id,
        name,
        special_use,
        no_select,
        uid_validity,
        uid_next,
        imported_next,
        restored,
        keywords,
    })
}
