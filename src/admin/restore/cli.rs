//! `ringpost account restore …` as it is typed.
//!
//! *Owns*: arguments, help, and what they ask for. *Promises*: `--help` reads like a short manual; what does not go
//! together is refused before anything is asked. *Assumes*: clap. *Never*: restores.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;

use super::ask::Ask;
use super::here::Here;
use super::list::{Page, list};
use super::past::{self, From};
use super::report::Report;
use super::run::run;
use super::wish::Wish;
use crate::admin::route::address_of;
use crate::limits::RESTORE_LISTED;
use crate::moment::Moment;
use crate::proto::imap::email_id;

/// How far a shard's clock may be behind ours, in milliseconds: it looks once a turn.
const CLOCK_LAG_MS: u64 = 100;

/// The manual's second half.
pub const NOTES: &str = "\
Examples:
  ringpost account restore ann@example.org --mailbox INBOX --at 08:00 --dry-run   what would come back
  ringpost account restore ann@example.org --mailbox INBOX --at 08:00             the inbox as of 08:00 UTC
  ringpost account restore ann@example.org --all --at 2026-01-31T09:00+01:00      the whole account
  ringpost account restore ann@example.org --mailbox 'Work/*'                     a deleted folder and all below
  ringpost account restore ann@example.org --list --since 2h --mailbox INBOX      what left, one line each
  ringpost account restore ann@example.org --message M4176 --into Found           one of these
  ringpost account restore ann@example.org --from /backup/mail --dry-run          what a backup has and the store lacks
  ringpost account restore ann@example.org --from /var/lib/ringpost --at 2h       a deleted account, from the log itself

What comes back: messages that were expunged, moved away, or went with their folder or account, for as long as
store.undelete_days says. They come as new messages: new UIDs, and the date and flags they had when they left but
for \\Deleted (or they would go with the next EXPUNGE). Clients that are connected are told at once. Folders are
made where they are missing, and subscribed.

What stays as it is: restoring never removes, moves or changes a message. Mail that came after the moment stays; a
message that was moved comes back and stays where it is now, too; flags of messages that never left are those of
now (--from DIR --flags sets them as they were). A deleted folder comes back with a new UIDVALIDITY and without its
access rights and annotations. If its name is taken by then, it comes back as `Restored NAME`.

Run it as often as you like. A message is there if the mailbox has one of the same octets (the same EMAILID) that came
after the moment, so a second run finds all there and does nothing; so does a run after one that was cut short.

With --from, messages also come from a backup or from the log of a data folder, as they are there or, with --at, as
they were: with the flags of that moment, names and special uses of folders, and for folders that are made anew access
rights and annotations. What the store still has is not sent again. An account that is gone comes back whole: password,
services, quota, settings, aliases that led to it, subscriptions, and folders with their UIDVALIDITY and UIDs, so that
clients notice nothing. Into a folder that has messages of its own, they come under new UIDs; POP3 unique-ids stay what
they were, which is also how a second run knows them. --at reads the whole log of the account's shard, which takes as
long as the disk takes to read it; it cannot go back behind what compaction has left of the log.

With --mailbox and no moment a deleted folder comes as it was when it was deleted (the last one of that name), of
another one all that left it. A --message without --mailbox comes back to one folder: the last that it left, Trash and
Junk aside.
Times are UTC unless they carry an offset.";

/// What is to come back, and how.
#[derive(Debug, Clone, Args)]
pub struct Selection {
    /// The account. It may have been deleted.
    pub address: String,
    /// Only list what can be had back, oldest departure first.
    #[arg(long, conflicts_with_all = ["message", "all", "into", "dry_run"])]
    pub list: bool,
    /// A message by the EMAILID that --list shows, or by the UID it had in --mailbox. May be repeated.
    #[arg(long, value_name = "ID|UID", conflicts_with = "all")]
    pub message: Vec<MessageName>,
    /// A folder by its name, NAME/* with all below it. May be repeated.
    #[arg(long, value_name = "NAME", conflicts_with = "all")]
    pub mailbox: Vec<String>,
    /// Every folder; needs --at or --from.
    #[arg(long)]
    pub all: bool,
    /// As it was at this moment: 2026-01-31T08:00:00Z, 08:00 (the last one, UTC), 2h (ago).
    #[arg(long, value_name = "TIME", conflicts_with_all = ["since", "until"])]
    pub at: Option<Moment>,
    /// Only what left since then.
    #[arg(long, value_name = "TIME")]
    pub since: Option<Moment>,
    /// Only what left before then.
    #[arg(long, value_name = "TIME")]
    pub until: Option<Moment>,
    /// Put everything into this folder instead of where it was; made if it is missing.
    #[arg(long, value_name = "FOLDER")]
    pub into: Option<String>,
    /// From a backup, or from a data folder (also that of the running server), read beside it: for what the store
    /// does not have any more, and for accounts that are gone. Everything, unless --mailbox or --message says less.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["list", "since", "until"])]
    pub from: Option<PathBuf>,
    /// With --from: set the flags of messages that are there as they were, too.
    #[arg(long, requires = "from")]
    pub flags: bool,
    /// Messages that --list prints.
    #[arg(long, value_name = "N", default_value_t = RESTORE_LISTED, requires = "list")]
    pub limit: usize,
    /// Messages that --list passes over.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "list")]
    pub skip: usize,
    /// Print what would come back, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// A message as --message names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageName {
    /// By the number of its EMAILID.
    Email(u64),
    /// By UID.
    Uid(u32),
}

impl FromStr for MessageName {
    type Err = String;

    fn from_str(text: &str) -> Result<MessageName, String> {
        let email = email_id(text.as_bytes()).map(|id| MessageName::Email(id.0));
        let uid = || text.parse().ok().filter(|&uid| uid > 0).map(MessageName::Uid);
        email.or_else(uid).ok_or("expected an EMAILID such as M4176, or a UID".to_owned())
    }
}

impl Selection {
    /// What it asks for.
    ///
    /// # Errors
    /// What does not go together.
    pub fn wish(&self, now_ms: u64) -> Result<Wish, String> {
        let mut emails = BTreeSet::new();
        let mut uids = BTreeSet::new();
        for name in &self.message {
            match *name {
                MessageName::Email(id) => drop(emails.insert(id)),
                MessageName::Uid(uid) => drop(uids.insert(uid)),
            }
        }
        if !uids.is_empty() && (self.mailbox.len() != 1 || !emails.is_empty()) {
            return Err(
                "a UID means a message of one --mailbox, and does not go together with EMAILIDs".to_owned()
            );
        }
        let some = self.list || self.all || !self.message.is_empty() || !self.mailbox.is_empty();
        if self.from.is_none() && (!some || self.all && self.at.is_none()) {
            return Err("say what: --list, --message ID, --mailbox NAME, or --all --at TIME".to_owned());
        }
        let moment = |given: Option<Moment>| given.map(|moment| moment.unix_ms(now_ms));
        let at_ms = moment(self.at);
        if at_ms.is_some_and(|at_ms| at_ms > now_ms) {
            return Err("--at is in the future".to_owned());
        }
        Ok(Wish {
            mailboxes: self.mailbox.clone(),
            emails,
            uids,
            at_ms,
            since_ms: moment(self.since).unwrap_or(0),
            until_ms: moment(self.until).unwrap_or(u64::MAX),
            into: self.into.clone(),
            dry_run: self.dry_run,
        })
    }
}

/// Carries it out, in the store of this data folder.
///
/// # Errors
/// One line.
pub fn restore(ask: &dyn Ask, data: &Path, selection: &Selection, json: bool) -> Result<(), String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = now.as_millis() as u64;
    let wish = selection.wish(now_ms)?;
    // What comes back has to come in a later second than what was there: only so does the next run know it.
    let early_ms = match wish.at_ms {
        Some(at_ms) => (at_ms + 1_000 + CLOCK_LAG_MS).saturating_sub(now_ms),
        None if selection.list || selection.dry_run => 0,
        None => 1_000 + CLOCK_LAG_MS - now_ms % 1_000,
    };
    std::thread::sleep(Duration::from_millis(early_ms));
    let address = address_of(&selection.address)?;
    let here = Here::new(ask, &address);
    if selection.list {
        let (skip, limit) = (selection.skip, selection.limit);
        return list(&here, &wish, Page { skip, limit, json });
    }
    let mut report = Report::new(json);
    match &selection.from {
        None => run(&here, &wish, &mut report),
        Some(folder) => {
            let from = From { folder: folder.clone(), flags: selection.flags };
            past::run(&here, data, &from, &wish, &mut report)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        selection: Selection,
    }

    fn wish(words: &[&str]) -> Result<Wish, String> {
        let line = Line::try_parse_from([&["restore", "a@x"], words].concat());
        line.map_err(|error| error.to_string())?.selection.wish(86_400_000 * 3)
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for bad in [
            &[][..],
            &["--all"],
            &["--all", "--at", "1h", "--mailbox", "x"],
            &["--list", "--all", "--at", "1h"],
            &["--mailbox", "x", "--at", "1h", "--since", "2h"],
            &["--message", "5"],
            &["--message", "5", "--message", "M5", "--mailbox", "x"],
            &["--message", "x"],
            &["--mailbox", "x", "--at", "2030-01-01"],
            &["--mailbox", "x", "--limit", "5"],
        ] {
            assert!(wish(bad).is_err(), "{bad:?}");
        }
        let one = wish(&["--message", "M7", "--message", "M9", "--since", "2h"]).unwrap();
        assert_eq!((one.emails.len(), one.since_ms, one.until_ms), (2, 86_400_000 * 3 - 7_200_000, u64::MAX));
        assert_eq!(wish(&["--all", "--at", "1h"]).unwrap().at_ms, Some(86_400_000 * 3 - 3_600_000));
        assert_eq!(wish(&["--message", "7", "--mailbox", "a"]).unwrap().uids.len(), 1);
    }
}
