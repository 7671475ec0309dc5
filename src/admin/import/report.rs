//! What an import tells.
//!
//! *Owns*: a row for each folder, as a table or as JSON, progress on a terminal, and the last line. *Promises*: the
//! same rows for a dry run. *Assumes*: results on standard output, everything else on standard error. *Never*:
//! decides.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::differ::Difference;
use crate::admin::cli::output::say;

/// Problems of a folder that are told one by one; the rest is counted.
const PROBLEMS_TOLD_MAX: usize = 20;

/// What differs in a folder, and what could not be taken over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Full name here.
    pub mailbox: String,
    /// It is made.
    pub create: bool,
    /// It takes over UIDVALIDITY.
    pub adopt: bool,
    /// New messages.
    pub new: u64,
    /// Those of them that get new UIDs.
    pub late: u64,
    /// Messages that get other flags.
    pub flags: u64,
    /// Messages that are gone there.
    pub gone: u64,
    /// These are removed.
    pub delete: bool,
    /// Messages that were deleted here since they were imported.
    pub deleted_here: u64,
    /// In words.
    pub problems: Vec<String>,
    /// Problems beyond those that are told.
    pub problems_more: u64,
}

impl Row {
    /// Takes a difference over.
    pub fn tell(&mut self, found: &Difference, delete: bool) {
        (self.gone, self.delete, self.late) = (found.gone.len(), delete, found.late.len() as u64);
        self.new = found.new.len() as u64 + self.late;
        (self.flags, self.deleted_here) =
            (found.flags.values().map(|uids| uids.len()).sum(), found.deleted_here);
        if !found.taken.is_empty() {
            self.problems.push(format!(
                "{} messages stay there: mail has arrived in the mailbox here, and their UIDs cannot be kept \
                 (--merge gives them new ones)",
                found.taken.len()
            ));
        }
        if !found.left.is_empty() {
            self.problems.push(format!(
                "{} messages stay there: an earlier run could not take them over, and their UIDs have been passed \
                 (--merge gives them new ones)",
                found.left.len()
            ));
        }
    }

    /// A message could not be taken over.
    pub fn left_out(&mut self, why: String) {
        match self.problems.len() < PROBLEMS_TOLD_MAX {
            true => self.problems.push(why),
            false => self.problems_more += 1,
        }
    }
}

/// Whether flags are the same: keywords compare without case, and in any order.
pub fn same_flags(one: &[String], other: &[String]) -> bool {
    let canonical = |flags: &[String]| {
        let mut flags: Vec<String> = flags.iter().map(|flag| flag.to_ascii_lowercase()).collect();
        flags.sort_unstable();
        flags
    };
    one == other || canonical(one) == canonical(other)
}

/// See the module.
pub struct Report {
    json: bool,
    bar: ProgressBar,
    headed: bool,
    messages: u64,
    flags: u64,
    problems: u64,
}

impl Report {
    /// For people, or as JSON.
    pub fn new(json: bool) -> Report {
        let bar = match std::io::stderr().is_terminal() {
            true => ProgressBar::new(0).with_style(style()),
            false => ProgressBar::hidden(),
        };
        Report { json, bar, headed: false, messages: 0, flags: 0, problems: 0 }
    }

    /// Something beyond the folders cannot be taken over.
    pub fn problem(&mut self, why: &str) {
        self.problems += 1;
        self.bar.suspend(|| eprintln!("{why}"));
    }

    /// A folder is looked at.
    pub fn begin(&mut self, mailbox: &str) {
        self.bar.set_message(mailbox.to_owned());
    }

    /// So many messages more are to come.
    pub fn expect(&mut self, messages: usize) {
        self.bar.inc_length(messages as u64);
    }

    /// So many messages more are durable.
    pub fn advance(&mut self, messages: usize) {
        self.bar.inc(messages as u64);
    }

    /// A folder is done.
    pub fn row(&mut self, row: &Row) -> Result<(), String> {
        self.messages += row.new;
        self.flags += row.flags;
        self.problems += row.problems.len() as u64 + row.problems_more;
        self.bar.suspend(|| self.print(row))?;
        self.headed = true;
        Ok(())
    }

    fn print(&self, row: &Row) -> Result<(), String> {
        if self.json {
            return say(&json!({
                "mailbox": row.mailbox, "create": row.create, "adopt": row.adopt, "new": row.new, "late": row.late,
                "flags": row.flags, "gone": row.gone, "delete": row.delete,
                "deleted_here": row.deleted_here, "problems": row.problems,
                "problems_more": row.problems_more,
            })
            .to_string());
        }
        if !self.headed {
            say("MAILBOX                               NEW    FLAGS     GONE  WHAT")?;
        }
        let words = [
            (row.create, "made"),
            (row.adopt, "takes over UIDVALIDITY"),
            (row.late > 0, "new UIDs where mail has arrived here"),
            (row.gone > 0 && row.delete, "gone ones are deleted"),
            (row.gone > 0 && !row.delete, "gone ones stay: --delete removes them"),
            (row.deleted_here > 0, "some were deleted here, and stay so"),
        ];
        let words: Vec<&str> = words.iter().filter(|(holds, _)| *holds).map(|(_, word)| *word).collect();
        let what = words.join(", ");
        let line = format!("{:<32} {:>8} {:>8} {:>8}  {what}", row.mailbox, row.new, row.flags, row.gone);
        say(line.trim_end())?;
        row.problems.iter().for_each(|why| eprintln!("{}: {why}", row.mailbox));
        if row.problems_more > 0 {
            eprintln!("{}: and {} messages more that cannot be taken over", row.mailbox, row.problems_more);
        }
        Ok(())
    }

    /// A name is subscribed, or would be.
    pub fn subscription(&mut self, name: &str, dry_run: bool) -> Result<(), String> {
        self.bar.suspend(|| match self.json {
            true => say(&json!({ "subscribe": name, "dry_run": dry_run }).to_string()),
            false if dry_run => say(&format!("{name}: would be subscribed")),
            false => say(&format!("{name}: subscribed")),
        })
    }

    /// Everything was looked at.
    ///
    /// # Errors
    /// Something could not be taken over.
    pub fn end(&mut self, dry_run: bool) -> Result<(), String> {
        self.bar.finish_and_clear();
        let (messages, flags, problems) = (self.messages, self.flags, self.problems);
        match self.json {
            true => say(&json!({
                "messages": messages, "flags": flags, "problems": problems, "dry_run": dry_run,
            })
            .to_string())?,
            false => {
                let would = if dry_run { "would be taken over" } else { "taken over" };
                say(&format!("{messages} messages and the flags of {flags} {would}"))?;
            }
        }
        match problems {
            0 => Ok(()),
            _ => Err(format!("{problems} problems, see above; the rest is done")),
        }
    }
}

fn style() -> ProgressStyle {
    let template = ProgressStyle::with_template("{bar:30} {pos}/{len} {per_sec} {msg}");
    template.unwrap_or_else(|_| ProgressStyle::default_bar())
}
