//! One import, folder by folder.
//!
//! *Owns*: the order of the steps: make, adopt, append, flags, and what is asked for besides. *Promises*: a folder that
//! cannot be taken over does not stop the others, but the exit code tells; cut short at any point, the next run goes
//! on where this one was. *Assumes*: the server carries a step out whole or not at all. *Never*: sends anything in a
//! dry run.
//!
//! ```text
//!  folder ─► open ─► differ ◄─ messages here ─► create? ─► adopt? ─► append, in frames ─► UIDNEXT ─► flags ─► gone?
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::differ::{Differ, Difference, Here};
use super::late::Late;
use super::mark::Mark;
use super::ranges::Ranges;
use super::report::{Report, Row};
use super::send::{Sender, To};
use super::source::{Contents, Folder, Folders, Source};
use super::wire::ImportStep;
use crate::admin::client::Client;
use crate::admin::wire::{Line, Request};
use crate::limits::IMPORT_FRAME_RANGES_MAX;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The account here.
    pub address: String,
    /// Only tell the difference.
    pub dry_run: bool,
    /// Remove messages that are gone there.
    pub delete: bool,
    /// Give new UIDs to messages that cannot keep theirs.
    pub merge: bool,
}

/// Imports.
///
/// # Errors
/// Why it ended early, or how many folders and messages could not be taken over.
pub fn run(client: &Client, source: &mut dyn Source, wish: &Wish, report: &mut Report) -> Result<(), String> {
    let mut import =
        Import { client, source, wish, report, mailboxes: BTreeMap::new(), message_bytes_max: 0 };
    let subscribed = import.look()?;
    let Folders { mut folders, problems } = import.source.folders()?;
    problems.iter().for_each(|why| import.report.problem(why));
    folders.sort_by(|a, b| a.name.cmp(&b.name));
    for folder in &folders {
        let row = import.folder(folder)?;
        import.report.row(&row)?;
    }
    for name in import.source.subscriptions()? {
        if !subscribed.contains(&name) {
            import.report.subscription(&name, wish.dry_run)?;
            import.step(ImportStep::Subscribe { name })?;
        }
    }
    import.report.end(wish.dry_run)
}

struct Import<'a> {
    client: &'a Client,
    source: &'a mut dyn Source,
    wish: &'a Wish,
    report: &'a mut Report,
    mailboxes: BTreeMap<String, Here>,
    /// Octets of the largest message that the server takes.
    message_bytes_max: usize,
}

impl Import<'_> {
    /// Learns what the account has. Returns its subscriptions.
    fn look(&mut self) -> Result<BTreeSet<String>, String> {
        let mut message_bytes_max = 0;
        self.ask(ImportStep::Bounds, &mut |line| {
            let Line::Bounds { message_bytes_max: told } = line else { return Err(unexpected(&line)) };
            message_bytes_max = told;
            Ok(())
        })?;
        self.message_bytes_max = message_bytes_max;
        let (mut mailboxes, mut subscribed) = (BTreeMap::new(), BTreeSet::new());
        self.ask(ImportStep::State, &mut |line| {
            match line {
                Line::Mailbox { name, special_use, uid_validity, uid_next, imported_next, mark, .. } => {
                    let here = Here { special_use, uid_validity, uid_next, imported_next, mark };
                    mailboxes.insert(name, here);
                }
                Line::Subscription { name } => drop(subscribed.insert(name)),
                other => return Err(unexpected(&other)),
            }
            Ok(())
        })?;
        self.mailboxes = mailboxes;
        Ok(subscribed)
    }

    fn folder(&mut self, folder: &Folder) -> Result<Row, String> {
        self.report.begin(&folder.name);
        let mut row = Row { mailbox: folder.name.clone(), ..Row::default() };
        let contents = match self.source.open(folder) {
            Ok(contents) => contents,
            Err(why) => {
                row.problems.push(why);
                return Ok(row);
            }
        };
        row.problems.clone_from(&contents.problems);
        let known = self.mailboxes.get(&folder.name).cloned();
        let (is_new, mut here) = (known.is_none(), known.unwrap_or_default());
        row.create = is_new;
        row.adopt = here.is_fresh() && contents.uid_validity != 0;
        if !here.is_fresh() && here.uid_validity != contents.uid_validity {
            // No UID here is one of those there.
            here.imported_next = 0;
        }
        let mut mark = Mark::of(&here.mark, contents.uid_validity);
        let found = match is_new || here.is_fresh() {
            true => Differ::new(&contents.uids, contents.uid_next, &here, &mark).end(),
            false => self.differ(&folder.name, &contents, &here, &mut mark)?,
        };
        row.tell(&found, self.wish.delete);
        if !self.wish.dry_run {
            // What comes is counted, not what should.
            row.new = 0;
            if let Err(why) = self.carry_over(folder, &contents, &here, &mut mark, &found, &mut row) {
                row.problems.push(why);
            }
        }
        Ok(row)
    }

    /// Compares with the messages here.
    fn differ(
        &mut self,
        name: &str,
        contents: &Contents,
        here: &Here,
        mark: &mut Mark,
    ) -> Result<Difference, String> {
        let mut differ = Differ::new(&contents.uids, contents.uid_next, here, mark);
        let step = ImportStep::Messages { mailbox: name.to_owned(), after: 0 };
        let request = Request::Import { address: self.wish.address.clone(), step };
        let (merge, mut late, source) = (self.wish.merge, Late::default(), &mut *self.source);
        self.client.call(&request, &mut |line| {
            let Line::Message { uid, flags, unique_id, .. } = line else {
                return Err(unexpected(&line));
            };
            if let Some(place) = differ.next_here(uid) {
                if let Some(there) = source.facts(place)?.other_flags(&flags) {
                    differ.set_flags(uid, there);
                }
            } else if let Some(unique_id) = unique_id.filter(|_| merge && uid >= here.imported_next) {
                late.see(unique_id, uid, flags);
            }
            Ok(())
        })?;
        let mut found = differ.end();
        if merge {
            late.judge(self.source, contents, here, mark, &mut found)?;
        }
        Ok(found)
    }

    fn carry_over(
        &mut self,
        folder: &Folder,
        contents: &Contents,
        here: &Here,
        mark: &mut Mark,
        found: &Difference,
        row: &mut Row,
    ) -> Result<(), String> {
        let mailbox = || folder.name.clone();
        if row.create {
            let given = self.mailboxes.values().any(|here| folder.special_use == Some(&here.special_use));
            let special_use = folder.special_use.filter(|_| !given).unwrap_or_default().to_owned();
            self.step(ImportStep::Create { name: mailbox(), special_use: special_use.clone() })?;
            self.mailboxes.insert(mailbox(), Here { special_use, ..Here::default() });
        }
        if row.adopt {
            let dovecot_unique_ids = self.source.dovecot_unique_ids();
            let uid_validity = contents.uid_validity;
            self.step(ImportStep::Adopt { mailbox: mailbox(), uid_validity, dovecot_unique_ids })?;
        }
        let (address, message_bytes_max) = (&self.wish.address, self.message_bytes_max);
        let to =
            To { client: self.client, address, mailbox: &folder.name, contents, here, message_bytes_max };
        let mut sender = Sender::new(to, self.report, row, mark);
        sender.send(self.source, &found.new, false)?;
        if !here.has_own() && contents.uid_next > here.uid_next.max(1) {
            sender.pass(contents.uid_next)?;
        }
        if self.wish.merge {
            sender.send(self.source, &found.late, true)?;
            if here.has_own() {
                sender.come_to(contents.uid_next)?;
            }
        }
        for (flags, uids) in &found.flags {
            for uids in uids.0.chunks(IMPORT_FRAME_RANGES_MAX) {
                let (uids, flags) = (uids.to_vec(), flags.clone());
                self.step(ImportStep::Flags { mailbox: mailbox(), uids, flags })?;
            }
        }
        if self.wish.delete {
            let Ranges(gone) = &found.gone;
            for uids in gone.chunks(IMPORT_FRAME_RANGES_MAX) {
                self.step(ImportStep::Expunge { mailbox: mailbox(), uids: uids.to_vec() })?;
            }
        }
        Ok(())
    }

    /// Carries a step out, but for a dry run.
    fn step(&self, step: ImportStep) -> Result<(), String> {
        if self.wish.dry_run {
            return Ok(());
        }
        self.ask(step, &mut |_| Ok(()))
    }

    fn ask(&self, step: ImportStep, each: &mut dyn FnMut(Line) -> Result<(), String>) -> Result<(), String> {
        self.client.call(&Request::Import { address: self.wish.address.clone(), step }, each)
    }
}

fn unexpected(line: &Line) -> String {
    format!("the server answered something else: {line:?}")
}
