//! What a restore tells.
//!
//! *Owns*: a row for each mailbox, as a table or as JSON, and the last line. *Promises*: the same rows for a dry run.
//! *Assumes*: results on standard output, everything else on standard error. *Never*: decides.

use serde_json::json;

use super::here::Here;
use super::present::Left;
use super::wish::Wish;
use crate::admin::cli::output::say;
use crate::admin::wire::{Line, Request};
use crate::log::moment;

/// What happened to the messages of a mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// The mailbox they left.
    pub from: String,
    /// When it was deleted.
    pub deleted: Option<u64>,
    /// Where they go.
    pub to: String,
    /// It is made.
    pub make: bool,
    /// Messages that come back.
    pub back: u64,
    /// Octets of them.
    pub bytes: u64,
    /// Messages that are there.
    pub there: u64,
    /// Messages whose flags are set as they were.
    pub flags: u64,
    /// In words.
    pub notes: Vec<String>,
    /// What could not be done, in words.
    pub problems: Vec<String>,
}

impl Row {
    /// These come back.
    pub fn count(&mut self, came: &[Left]) {
        self.back += came.len() as u64;
        self.bytes += came.iter().map(|left| u64::from(left.size)).sum::<u64>();
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Report {
    json: bool,
    headed: bool,
    back: u64,
    bytes: u64,
    there: u64,
    flags: u64,
    made: u64,
    problems: u64,
}

impl Report {
    /// For people, or as JSON.
    pub fn new(json: bool) -> Report {
        Report { json, ..Report::default() }
    }

    /// Not all of it can be had back.
    pub fn incomplete(&mut self, at_ms: u64, reaped_ms: u64) -> Result<(), String> {
        self.problem(&format!(
            "what left its mailbox between {} and {} is gone for good from here (store.undelete_days): a backup may \
             have it, see --from",
            moment(at_ms),
            moment(reaped_ms)
        ))
    }

    /// Something that concerns more than one mailbox.
    pub fn problem(&mut self, why: &str) -> Result<(), String> {
        self.problems += 1;
        eprintln!("{why}");
        if self.json { say(&json!({ "problem": why }).to_string()) } else { Ok(()) }
    }

    /// Something that was done besides.
    pub fn note(&mut self, what: &str) -> Result<(), String> {
        if self.json { say(&json!({ "note": what }).to_string()) } else { say(what) }
    }

    /// A mailbox is done.
    pub fn row(&mut self, row: &Row) -> Result<(), String> {
        self.back += row.back;
        self.bytes += row.bytes;
        self.there += row.there;
        self.flags += row.flags;
        self.made += u64::from(row.make);
        self.problems += row.problems.len() as u64;
        if self.json {
            return say(&json!({
                "mailbox": row.from, "deleted": row.deleted.map(moment), "into": row.to, "make": row.make,
                "restored": row.back, "octets": row.bytes, "there": row.there, "flags": row.flags,
                "notes": row.notes, "problems": row.problems,
            })
            .to_string());
        }
        if !std::mem::replace(&mut self.headed, true) {
            say("MAILBOX                              BACK    THERE       OCTETS  INTO")?;
        }
        let mut words = row.notes.clone();
        words.extend(row.make.then(|| "made".to_owned()));
        words.extend(row.deleted.map(|at_ms| format!("deleted {}", moment(at_ms))));
        words.extend((row.flags > 0).then(|| format!("flags of {} set", row.flags)));
        let words = if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) };
        let Row { from, to, back, there, bytes, .. } = row;
        say(&format!("{from:<32} {back:>8} {there:>8} {bytes:>12}  {to}{words}"))?;
        row.problems.iter().for_each(|why| eprintln!("{from}: {why}"));
        Ok(())
    }

    /// Says whether a quota would be in the way.
    pub fn room(&mut self, here: &Here<'_>) -> Result<(), String> {
        let (storage, messages, mailboxes) = (None, None, None);
        let request =
            Request::AccountQuota { address: here.address().to_owned(), storage, messages, mailboxes };
        let mut lacking = Vec::new();
        here.request(&request, &mut |line| {
            if let Line::Quota { resource, used, limit: Some(limit) } = line {
                let more = match resource.as_str() {
                    "storage" => self.bytes.div_ceil(1024),
                    "messages" => self.back,
                    _ => self.made,
                };
                if more > 0 && used.saturating_add(more) > limit {
                    lacking.push(format!("{resource}: {used} of {limit} used, {more} more wanted"));
                }
            }
            Ok(())
        })?;
        match lacking.is_empty() {
            true => Ok(()),
            false => self.problem(&format!(
                "the account's quota has no room for all of it ({}): ringpost account quota raises it",
                lacking.join("; ")
            )),
        }
    }

    /// Everything was looked at.
    ///
    /// # Errors
    /// Something could not be done.
    pub fn end(&mut self, wish: &Wish) -> Result<(), String> {
        let Report { back, bytes, there, flags, made, problems, .. } = *self;
        match self.json {
            true => say(&json!({
                "messages": back, "octets": bytes, "there": there, "flags": flags, "mailboxes_made": made,
                "problems": problems, "dry_run": wish.dry_run, "at": wish.at_ms.map(moment),
            })
            .to_string())?,
            false => {
                let verb = if wish.dry_run { "would come back" } else { "came back" };
                let at = wish.at_ms.map_or(String::new(), |at_ms| format!(", as of {}", moment(at_ms)));
                say(&format!("{back} messages {verb} ({bytes} octets), {there} were there already{at}"))?;
            }
        }
        match problems {
            0 => Ok(()),
            _ => Err(format!("{problems} problems, see above; the rest is done")),
        }
    }
}
