//! The server's end of a restore.
//!
//! *Owns*: from steps to the account's shard, and the texts of what can be had back. *Promises*: one page of a listing
//! in memory; the octets of summaries are looked at here, on the control thread, and not by the shard. *Assumes*: one
//! step after the other. *Never*: decides what comes back.

use base64::Engine;
use ringpost_engine::change::{Rights, UidSet};
use ringpost_engine::ids::{AccountId, MailboxId, ShardId, Slot, Uid};

use super::headline::Headline;
use super::wire::RestoreStep;
use crate::admin::import::server::{USES, answer as import};
use crate::admin::import::wire::ImportStep;
use crate::admin::route::{Answer, Shards, Sink, account_line, address_of, services_of, unexpected};
use crate::admin::wire::{GoneLine, Line};
use crate::shard::admin::restore::{GoneMailboxes, GoneMessage, PutBack, Step, UNFINISHED};
use crate::shard::admin::{AdminReply, AdminRequest};

/// Carries a step out.
pub fn answer(shards: &dyn Shards, address: &str, step: RestoreStep, sink: &mut Sink<'_>) -> Answer {
    let address = match address_of(address) {
        Ok(address) => address,
        Err(why) => return Ok(Err(why)),
    };
    let owner = Owner { shards, address: &address };
    match step {
        RestoreStep::State => owner.state(sink),
        RestoreStep::Gone { of, since_ms, until_ms, texts } => {
            let of = of.into_iter().map(AccountId).collect();
            owner.gone(of, (since_ms, until_ms), texts, sink)
        }
        RestoreStep::PutBack { of, left, uids, to, uid_next } => {
            let put_back = set(uids).map(|uids| Step::PutBack {
                of: AccountId(of),
                left: MailboxId(left),
                uids,
                to,
                uid_next: Uid(uid_next),
            });
            match put_back.and_then(|step| owner.ask(step)) {
                Ok(AdminReply::PutBack(PutBack { changed, source, target })) => {
                    let (source, target) = (source.ranges().to_vec(), target.ranges().to_vec());
                    sink(Line::PutBack { changed, source, target })?;
                    Ok(Ok(()))
                }
                Ok(other) => Ok(Err(unexpected(other))),
                Err(why) => Ok(Err(why)),
            }
        }
        step @ RestoreStep::Account { .. } => Ok(owner.change(step).and_then(|()| {
            // Without asking back: whoever asks may be gone by now.
            let (entry, value) = (UNFINISHED.to_owned(), Some(String::new()));
            owner.change(RestoreStep::Annotate { mailbox: None, entry, value })
        })),
        step => Ok(owner.change(step)),
    }
}

fn set(uids: Vec<(u32, u32)>) -> Result<UidSet, String> {
    UidSet::from_ranges(uids).ok_or("a set of UIDs is not in order".to_owned())
}

fn change(step: RestoreStep) -> Result<Step, String> {
    Ok(match step {
        RestoreStep::Account { password_hash, services, mailboxes } => {
            crate::password::check(&password_hash)?;
            let mailboxes = mailboxes.into_iter().map(|(name, special_use)| {
                let known = USES.iter().find(|(spelt, _)| *spelt == special_use);
                (name, known.map(|(_, special_use)| *special_use))
            });
            let (services, mailboxes) = (services_of(&services)?, mailboxes.collect());
            Step::Account { password_hash, services, mailboxes }
        }
        RestoreStep::Unsubscribe { name } => Step::Unsubscribe { name },
        RestoreStep::Annotate { mailbox, entry, value } => {
            let decode = |value: String| base64::engine::general_purpose::STANDARD.decode(value);
            let value =
                value.map(decode).transpose().map_err(|error| format!("the value of {entry}: {error}"))?;
            Step::Annotate { mailbox, entry, value: value.map(Into::into) }
        }
        RestoreStep::Share { mailbox, identifier, rights } => {
            let mut each = rights.chars().map(Rights::of);
            let all = each.try_fold(Rights::NONE, |all, right| right.map(|right| all.union(right)));
            let rights = all.ok_or_else(|| format!("{rights:?} are no rights"))?;
            Step::Share { mailbox, identifier, rights }
        }
        RestoreStep::State | RestoreStep::Gone { .. } | RestoreStep::PutBack { .. } => {
            return Err("a listing is no change".to_owned());
        }
    })
}

/// The shard of an address.
struct Owner<'a> {
    shards: &'a dyn Shards,
    address: &'a str,
}

impl Owner<'_> {
    fn ask(&self, step: Step) -> Result<AdminReply, String> {
        self.request(AdminRequest::Restore { address: self.address.to_owned(), step })
    }

    fn change(&self, step: RestoreStep) -> Result<(), String> {
        match self.ask(change(step)?)? {
            AdminReply::Done => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    fn request(&self, request: AdminRequest) -> Result<AdminReply, String> {
        self.shards.request(self.shard(), request)
    }

    fn shard(&self) -> ShardId {
        self.shards.owner(Slot::of(self.address))
    }

    fn state(&self, sink: &mut Sink<'_>) -> Answer {
        let mut from = 0;
        let account = loop {
            let page = match self.ask(Step::GoneMailboxes { from }) {
                Ok(AdminReply::GoneMailboxes(page)) => page,
                Ok(other) => return Ok(Err(unexpected(other))),
                Err(why) => return Ok(Err(why)),
            };
            let GoneMailboxes { account, unfinished, rows, next, reaped_ms } = page;
            if from == 0 {
                sink(Line::Owner { shard: self.shard().0, reaped_ms, unfinished })?;
            }
            for row in rows {
                sink(Line::GoneMailbox {
                    of: row.account.0,
                    mailbox: row.mailbox.0,
                    name: row.name,
                    uid_validity: row.uid_validity,
                    keywords: row.keywords,
                    gone_ms: row.when_ms,
                })?;
            }
            match next {
                Some(next) => from = next,
                None => break account,
            }
        };
        if account.is_none() {
            return Ok(Ok(()));
        }
        match self.request(AdminRequest::AccountShow { address: self.address.to_owned() }) {
            Ok(AdminReply::Account(account, _)) => sink(account_line(account))?,
            Ok(other) => return Ok(Err(unexpected(other))),
            Err(why) => return Ok(Err(why)),
        }
        import(self.shards, self.address, ImportStep::State, sink)
    }

    fn gone(
        &self,
        of: Vec<AccountId>,
        (since_ms, until_ms): (u64, u64),
        texts: bool,
        sink: &mut Sink<'_>,
    ) -> Answer {
        let mut from = None;
        loop {
            let step = Step::Gone { of: of.clone(), from, since_ms, summaries: texts };
            let (rows, next) = match self.ask(step) {
                Ok(AdminReply::Gone(rows, next)) => (rows, next),
                Ok(other) => return Ok(Err(unexpected(other))),
                Err(why) => return Ok(Err(why)),
            };
            for row in rows {
                // They left in this order, and time never goes back in a log.
                if row.buried.when_ms >= until_ms {
                    return Ok(Ok(()));
                }
                sink(Line::Gone(gone_line(row)))?;
            }
            match next {
                Some(next) => from = Some(next),
                None => return Ok(Ok(())),
            }
        }
    }
}

fn gone_line(GoneMessage { buried, summary, hidden }: GoneMessage) -> GoneLine {
    let message = buried.message;
    let Headline { date, subject, from } = summary.as_deref().map(Headline::of).unwrap_or_default();
    GoneLine {
        of: buried.account.0,
        mailbox: buried.mailbox.0,
        uid: message.uid.0,
        body: message.body.0,
        size: message.size,
        flags: message.flags.0,
        internal_ms: message.internal_ms,
        saved_ms: message.saved_ms,
        gone_ms: buried.when_ms,
        hidden,
        subject,
        from,
        date,
    }
}
