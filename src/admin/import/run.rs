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

use super::differ::{Differ, Difference, Here, Ranges};
use super::frame::Frame;
use super::late::{Late, identity, mark};
use super::report::{Report, Row, same_flags};
use super::source::{Contents, Folder, Source};
use super::wire::{ImportMessage, ImportStep};
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
    let mut import = Import { client, source, wish, report, mailboxes: BTreeMap::new() };
    let subscribed = import.look()?;
    let mut folders = import.source.folders()?;
    folders.sort_by(|a, b| a.name.cmp(&b.name));
    for folder in &folders {
        let row = import.folder(folder)?;
        import.report.row(&row)?;
    }
    for name in import.source.subscriptions()? {
        if !subscribed.contains(&name) {
            import.report.subscription(&name)?;
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
}

impl Import<'_> {
    /// Learns what the account has. Returns its subscriptions.
    fn look(&mut self) -> Result<BTreeSet<String>, String> {
        let (mut mailboxes, mut subscribed) = (BTreeMap::new(), BTreeSet::new());
        self.ask(ImportStep::State, &mut |line| {
            match line {
                Line::Mailbox { name, special_use, uid_validity, uid_next, imported_next, mark, .. } => {
                    let here = Here { special_use, uid_validity, uid_next, imported_next, mark };
                    mailboxes.insert(name, here);
                }
                Line::Subscription { name } => drop(subscribed.insert(name)),
                other => return Err(format!("the server answered something else: {other:?}")),
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
        let found = match is_new || here.is_fresh() {
            true => Differ::new(&contents.uids, contents.uid_next, &here).end(),
            false => self.differ(&folder.name, &contents, &here)?,
        };
        row.tell(&found, self.wish.delete);
        if !self.wish.dry_run
            && let Err(why) = self.carry_over(folder, &contents, &here, &found, &mut row)
        {
            row.problems.push(why);
        }
        Ok(row)
    }

    /// Compares with the messages here.
    fn differ(&mut self, name: &str, contents: &Contents, here: &Here) -> Result<Difference, String> {
        let mut differ = Differ::new(&contents.uids, contents.uid_next, here);
        let step = ImportStep::Messages { mailbox: name.to_owned() };
        let request = Request::Import { address: self.wish.address.clone(), step };
        let (merge, mut late, source) = (self.wish.merge, Late::default(), &mut *self.source);
        self.client.call(&request, &mut |line| {
            let Line::Message { uid, flags, unique_id, .. } = line else {
                return Err(format!("the server answered something else: {line:?}"));
            };
            if let Some(place) = differ.next_here(uid) {
                let there = source.facts(place)?.flags;
                if !same_flags(&there, &flags) {
                    differ.set_flags(uid, there);
                }
            } else if let Some(unique_id) = unique_id.filter(|_| merge && uid >= here.imported_next) {
                late.see(unique_id, uid, flags);
            }
            Ok(())
        })?;
        let mut found = differ.end();
        if merge {
            late.judge(self.source, contents, here, &mut found)?;
        }
        Ok(found)
    }

    fn carry_over(
        &mut self,
        folder: &Folder,
        contents: &Contents,
        here: &Here,
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
        self.append(&folder.name, contents, here, &found.new, row)?;
        if !here.has_own() && contents.uid_next > here.uid_next.max(1) {
            self.send(&folder.name, contents.uid_next, Frame::default())?;
        }
        if here.has_own() && self.wish.merge && here.mark != mark(contents) {
            self.append(&folder.name, contents, here, &found.late, row)?;
            self.step(ImportStep::Mark { mailbox: mailbox(), mark: mark(contents) })?;
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

    /// Sends the new messages, in frames.
    fn append(
        &mut self,
        name: &str,
        contents: &Contents,
        here: &Here,
        places: &[usize],
        row: &mut Row,
    ) -> Result<(), String> {
        self.report.expect(places.len());
        let facts = |source: &mut dyn Source, place: usize| source.facts(place);
        // What arrived here is in the way of their UIDs.
        let renumbered = here.has_own();
        for places in places.chunks(crate::limits::IMPORT_FRAME_MESSAGES_MAX) {
            let mut known = Vec::with_capacity(places.len());
            for &place in places {
                known.push(facts(self.source, place)?);
            }
            let (client, address, report) = (self.client, &self.wish.address, &mut *self.report);
            let mut frame = Frame::default();
            let send = |frame: &mut Frame| {
                let frame = std::mem::take(frame);
                let count = frame.messages.len();
                append(client, address, name, 0, frame).map(|()| count)
            };
            self.source.fetch(places, &mut |mail| {
                let mail = match mail {
                    Ok(mail) => mail,
                    Err(why) => {
                        row.left_out(why);
                        return Ok(());
                    }
                };
                let nth = places.binary_search(&mail.place).map_err(|_| "a message came unasked")?;
                let facts = &known[nth];
                let uid = contents.uids[mail.place];
                let name = || identity(facts, uid, contents, here);
                let message = ImportMessage {
                    uid: if renumbered { 0 } else { uid },
                    bytes: mail.octets.len(),
                    flags: facts.flags.clone(),
                    internal_ms: mail.internal_ms,
                    unique_id: if renumbered { Some(name()) } else { facts.unique_id.clone() },
                };
                if !frame.has_room(&message) {
                    report.advance(send(&mut frame)?);
                }
                frame.push(message, mail.octets);
                Ok(())
            })?;
            report.advance(send(&mut frame)?);
        }
        Ok(())
    }

    fn send(&self, name: &str, uid_next: u32, frame: Frame) -> Result<(), String> {
        append(self.client, &self.wish.address, name, uid_next, frame)
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

/// Sends a frame; an empty one only moves UIDNEXT.
fn append(client: &Client, address: &str, mailbox: &str, uid_next: u32, frame: Frame) -> Result<(), String> {
    if frame.messages.is_empty() && uid_next == 0 {
        return Ok(());
    }
    let Frame { messages, octets, .. } = frame;
    let mailbox = mailbox.to_owned();
    let step = ImportStep::Append { mailbox, uid_next, messages, octets: Default::default() };
    client.call_with(&Request::Import { address: address.to_owned(), step }, &octets, &mut |_| Ok(()))
}
