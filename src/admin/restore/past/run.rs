//! One restore from a folder, mailbox by mailbox.
//!
//! *Owns*: the order of the steps, and where mailboxes go. *Promises*: as `super::super::run`; UIDs are kept where the
//! mailbox here never had another message. *Assumes*: nobody else restores the account at the same time. *Never*: sends
//! octets that the store still has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ringpost_engine::change::{FlagBits, UidSet, UniqueIdForm};
use ringpost_engine::ids::Uid;
use ringpost_engine::index::{MailboxRef, Message};
use ringpost_engine::limits::RESTORE_MESSAGES_MAX;

use super::super::here::{Held, Here, Mailbox, PutBack, State, mark};
use super::super::plan::{Target, Targets};
use super::super::present::Left;
use super::super::report::{Report, Row};
use super::super::wire::RestoreStep;
use super::super::wish::Wish;
use super::account::{aliases, chosen, dress, make, quota, spelt, subscriptions};
use super::compare::{Compared, Kept, Same, compare};
use super::open::{Past, flags_of};
use crate::admin::import::wire::{ImportMessage, ImportStep, names_of};
use crate::admin::import::{Frame, Ranges, beyond, same_flags};
use crate::admin::wire::GoneLine;
use crate::limits::{IMPORT_FRAME_RANGES_MAX, RESTORE_ATTEMPTS_MAX};

/// Where from, and what else is wanted of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct From {
    /// A backup, or a data folder.
    pub folder: PathBuf,
    /// Set the flags of messages that are there as they were, too.
    pub flags: bool,
}

/// Restores.
///
/// # Errors
/// Why nothing was done, or how many problems there were.
pub fn run(
    here: &Here<'_>,
    data: &Path,
    from: &From,
    wish: &Wish,
    report: &mut Report,
) -> Result<(), String> {
    let mut state = here.state()?;
    let is_lost = state.account.is_none() || state.unfinished;
    let past = Past::open(&from.folder, here.address(), wish.at_ms, is_lost)?;
    past.unread.iter().try_for_each(|why| report.problem(&format!("aliases may be missing: {why}")))?;
    let is_same_log = past.is_log_of(data, state.shard)?;
    if is_lost {
        make(here, &state, &past, wish, report)?;
        if !wish.dry_run {
            state = here.state()?;
        }
    }
    let names: Vec<String> =
        chosen(&past.account()?, wish).iter().map(|mailbox| mailbox.name().to_owned()).collect();
    if names.is_empty() {
        return Err(format!("{} has no such mailbox there", here.address()));
    }
    let gone = gone(here, &past, &state, is_same_log)?;
    let message_bytes_max = here.message_bytes_max()?;
    let mut restore = Restore { here, wish, from, past, is_same_log, is_lost, gone, message_bytes_max };
    let mut targets = Targets::new(&state, wish.into.as_deref());
    let mut is_whole = true;
    for name in &names {
        let mut row = Row { from: name.clone(), ..Row::default() };
        if let Err(why) = restore.mailbox(name, &state, &mut targets, &mut row) {
            is_whole = false;
            row.problems.push(why);
        }
        report.row(&row)?;
    }
    if is_lost {
        is_whole &= aliases(here, &restore.past, wish, report)?;
        if !wish.dry_run {
            end(here, wish, &restore.past, is_whole)?;
        }
    } else if wish.dry_run {
        report.room(here)?;
    }
    report.end(wish)
}

/// What comes last for an account that was not there. Cut short before, another run goes on.
fn end(here: &Here<'_>, wish: &Wish, past: &Past, is_whole: bool) -> Result<(), String> {
    if wish.mailboxes.is_empty() {
        subscriptions(here, &here.state()?, past)?;
    }
    quota(here, past)?;
    if is_whole { here.finish() } else { Ok(()) }
}

/// A message that left: mailbox, UID, and what it is known by, as [`compare`] says.
type Gone = (u32, u32, u64, u32, u64);

/// What the store still has of this account's mailboxes: it need not be sent.
fn gone(here: &Here<'_>, past: &Past, state: &State, is_same_log: bool) -> Result<BTreeSet<Gone>, String> {
    let id = past.account()?.id().0;
    let mut gone = BTreeSet::new();
    if is_same_log {
        let of = if state.accounts().contains(&id) { vec![id] } else { Vec::new() };
        here.gone(of, (0, u64::MAX), false, &mut |left| {
            let GoneLine { mailbox, uid, body, size, internal_ms, hidden, .. } = left;
            if !hidden {
                gone.insert((mailbox, uid, body, size, internal_ms));
            }
            Ok(())
        })?;
    }
    Ok(gone)
}

struct Restore<'a> {
    here: &'a Here<'a>,
    wish: &'a Wish,
    from: &'a From,
    past: Past,
    /// Numbers in EMAILIDs mean the same octets on both sides.
    is_same_log: bool,
    /// The account was not there, or an earlier run has not given it all that belongs to it.
    is_lost: bool,
    /// Messages that can be put back.
    gone: BTreeSet<Gone>,
    /// Octets of the largest message that the store takes by now.
    message_bytes_max: usize,
}

/// A mailbox as the folder has it.
#[derive(Clone, Debug, Default)]
struct Was {
    id: u32,
    uid_validity: u32,
    uid_next: u32,
    dovecot_unique_ids: bool,
    messages: Vec<Kept>,
}

/// A mailbox here that messages go to.
#[derive(Clone, Debug, Default)]
struct Now {
    name: String,
    uid_next: u32,
    /// UIDs name the same messages on both sides.
    same_uids: bool,
    /// No message came here but by restores that keep UIDs: those above UIDNEXT can be kept.
    keeps_uids: bool,
    messages: Vec<Held>,
}

impl Restore<'_> {
    fn mailbox(
        &mut self,
        name: &str,
        state: &State,
        targets: &mut Targets<'_>,
        row: &mut Row,
    ) -> Result<(), String> {
        let was = self.was(name)?;
        let (target, known) = self.target(name, &was, state, targets)?;
        row.to.clone_from(&target.name);
        row.make = target.make;
        let mut now = self.prepare(name, &was, &target, known, row)?;
        if let Some(known) = known.filter(|known| known.uid_next > 1) {
            now.same_uids |= known.uid_validity == was.uid_validity;
            now.keeps_uids |= now.same_uids && known.uid_next <= known.imported_next;
            let messages = &mut now.messages;
            self.here.messages(&target.name, 0, &mut |held| messages.push(held))?;
        }
        let same = Same { uids: now.same_uids, bodies: self.is_same_log };
        let named = |kept: &Kept, is_taken: bool| self.unique_id(name, &was, kept, is_taken);
        let found = compare(&was.messages, &now.messages, same, &named);
        row.there = found.pairs.len() as u64;
        if let hidden @ 1.. = now.messages.iter().filter(|held| held.hidden).count() {
            row.notes.push(format!("{hidden} hidden here, which stand for none"));
        }
        self.messages(name, &was, &mut now, &found, row)
    }

    fn of<'a>(&'a self, name: &str) -> Result<MailboxRef<'a>, String> {
        let mailbox = self.past.account()?.mailbox_by_name(name);
        mailbox.ok_or_else(|| format!("{name} is gone"))
    }

    fn was(&self, name: &str) -> Result<Was, String> {
        let mailbox = self.of(name)?;
        if !mailbox.is_readable() {
            return Err("its part of a checkpoint is damaged there".to_owned());
        }
        let wanted = |message: &Message| {
            (self.wish.uids.is_empty() || self.wish.uids.contains(&message.uid.0))
                && (self.wish.emails.is_empty() || self.wish.emails.contains(&message.body.0))
        };
        let messages = (0..mailbox.len()).map(|place| (place, mailbox.message(place)));
        let kept = messages.filter(|(_, message)| wanted(message)).map(|(place, message)| Kept {
            place,
            uid: message.uid.0,
            size: message.size,
            internal_ms: message.internal_ms,
            body: message.body.0,
        });
        Ok(Was {
            id: mailbox.id().0,
            uid_validity: mailbox.uid_validity(),
            uid_next: mailbox.uid_next().0,
            dovecot_unique_ids: mailbox.unique_id_form() == UniqueIdForm::Dovecot,
            messages: kept.collect(),
        })
    }

    /// Where a mailbox's messages go: to itself, to one that goes on with its UIDs, or to its successor.
    fn target<'s>(
        &self,
        name: &str,
        was: &Was,
        state: &'s State,
        targets: &mut Targets<'_>,
    ) -> Result<(Target, Option<&'s Mailbox>), String> {
        let account = self.past.account()?.id().0;
        let same_id =
            |mailbox: &&Mailbox| self.is_same_log && state.account == Some(account) && mailbox.id == was.id;
        let itself = |mailbox: &&Mailbox| {
            mailbox.name == name && (mailbox.uid_validity == was.uid_validity || same_id(mailbox))
        };
        let found = match state.mailboxes.iter().find(itself) {
            None => match state.mailboxes.iter().find(same_id) {
                Some(renamed) if self.shares(name, was, renamed)? => Some(renamed),
                _ => None,
            },
            found => found,
        };
        let found = found.filter(|mailbox| !mailbox.no_select);
        let target = match (found, self.wish.into.is_some()) {
            (Some(mailbox), false) => Target { name: mailbox.name.clone(), ..Target::default() },
            (_, true) => targets.named_target()?,
            (None, false) => targets.successor(name, mark(account, was.id))?,
        };
        let known = if target.make { None } else { state.named(&target.name) };
        Ok((target, known))
    }

    /// Whether a mailbox of another name is the one that was: a log that went on in two ways has given its number, and
    /// even its UIDVALIDITY, to two. A message that both have says so.
    fn shares(&self, name: &str, was: &Was, now: &Mailbox) -> Result<bool, String> {
        let mailbox = self.of(name)?;
        let all = (0..mailbox.len()).map(|place| mailbox.message(place));
        let all: BTreeSet<(u32, u32, u64)> = all.map(|one| (one.uid.0, one.size, one.internal_ms)).collect();
        let has = |uid: u32, size: u32, internal_ms: u64| all.contains(&(uid, size, internal_ms));
        let mut shares = self.gone.iter().any(|&(of, uid, _, size, ms)| of == was.id && has(uid, size, ms));
        if !shares && !now.no_select {
            self.here
                .messages(&now.name, 0, &mut |held| shares |= has(held.uid, held.size, held.internal_ms))?;
        }
        Ok(shares || all.is_empty())
    }

    /// Makes the mailbox, and lets it take over UIDVALIDITY, if it never had a message.
    fn prepare(
        &self,
        name: &str,
        was: &Was,
        target: &Target,
        known: Option<&Mailbox>,
        row: &mut Row,
    ) -> Result<Now, String> {
        let is_fresh = known.is_none_or(|known| known.uid_next <= 1);
        let uid_next = known.map_or(1, |known| known.uid_next);
        let mut now = Now { name: target.name.clone(), uid_next, ..Now::default() };
        let had = self.of(name)?;
        if self.wish.dry_run {
            now.keeps_uids = is_fresh && self.wish.into.is_none();
            return Ok(now);
        }
        if target.make {
            let special_use = match spelt(had.special_use()) {
                given if target.special_use == given || self.is_use_free(given)? => given,
                _ => "",
            };
            self.here.make(&target.name, special_use, target.mark.as_deref().unwrap_or_default())?;
        } else if let Some(mark) = target.mark.as_deref() {
            self.here.sign(&target.name, mark)?;
        }
        if self.wish.into.is_some() {
            return Ok(now);
        }
        if target.make || self.is_lost {
            dress(self.here, &target.name, &had)?;
        }
        if is_fresh && (self.is_lost || was.uid_next > 1) {
            match self.adopt(was, known, &target.name) {
                Ok(()) => (now.same_uids, now.keeps_uids) = (true, true),
                // This account had that UIDVALIDITY under this name: clients may know other messages by it.
                Err(why) => row.notes.push(format!("new UIDs: {why}")),
            }
        }
        Ok(now)
    }

    fn adopt(&self, was: &Was, known: Option<&Mailbox>, name: &str) -> Result<(), String> {
        if known.is_some_and(|known| known.uid_validity == was.uid_validity) {
            return Ok(());
        }
        self.here.change(ImportStep::Adopt {
            mailbox: name.to_owned(),
            uid_validity: was.uid_validity,
            dovecot_unique_ids: was.dovecot_unique_ids,
        })
    }

    fn is_use_free(&self, special_use: &str) -> Result<bool, String> {
        let state = self.here.state()?;
        Ok(!special_use.is_empty() && state.mailboxes.iter().all(|other| other.special_use != special_use))
    }

    /// What POP3 called a message there. It keeps that name when it gets another UID.
    fn unique_id(&self, name: &str, was: &Was, kept: &Kept, is_taken: bool) -> String {
        let mailbox = self.of(name).ok();
        let given = mailbox.and_then(|mailbox| mailbox.unique_ids_from(Uid(kept.uid)).next());
        let tail = if is_taken { "L" } else { "" };
        match given {
            Some((Uid(uid), given)) if uid == kept.uid => given.to_owned(),
            _ if was.dovecot_unique_ids => format!("{:08x}{:08x}{tail}", kept.uid, was.uid_validity),
            _ => format!("{}.{}{tail}", was.uid_validity, kept.uid),
        }
    }

    fn messages(
        &mut self,
        name: &str,
        was: &Was,
        now: &mut Now,
        found: &Compared,
        row: &mut Row,
    ) -> Result<(), String> {
        let missing = found.missing.iter().map(|&nth| &was.messages[nth]);
        let (keep, other): (Vec<&Kept>, Vec<&Kept>) =
            missing.partition(|kept| now.keeps_uids && kept.uid >= now.uid_next);
        let (back, new): (Vec<&Kept>, Vec<&Kept>) =
            other.into_iter().partition(|Kept { uid, body, size, internal_ms, .. }| {
                self.gone.contains(&(was.id, *uid, *body, *size, *internal_ms))
            });
        if self.wish.dry_run {
            let all: Vec<Left> = keep.iter().chain(&new).chain(&back).map(|kept| left(kept)).collect();
            row.count(&all);
        } else {
            self.send(name, was, now, &keep, true, row)?;
            // UIDs below were given out there, perhaps to messages that are gone.
            if now.keeps_uids && was.uid_next > now.uid_next {
                self.append(now, was.uid_next, Frame::default())?;
            }
            self.send(name, was, now, &new, false, row)?;
            self.put_back(name, was, now, &back, row)?;
        }
        if !keep.is_empty() {
            row.notes.push(format!("{} with their UIDs", keep.len()));
        }
        if self.from.flags { self.flags(name, was, now, found, row) } else { Ok(()) }
    }

    /// Sends octets, in frames.
    fn send(
        &mut self,
        name: &str,
        was: &Was,
        now: &Now,
        kept: &[&Kept],
        keep: bool,
        row: &mut Row,
    ) -> Result<(), String> {
        let taken: BTreeSet<u32> = now.messages.iter().map(|held| held.uid).collect();
        let (mut frame, mut sent) = (Frame::default(), Vec::new());
        for &one in kept {
            let (key, message) = {
                let mailbox = self.of(name)?;
                let message = mailbox.message(one.place);
                let given = mailbox.unique_ids_from(message.uid).next();
                let given = given.filter(|(uid, _)| *uid == message.uid).map(|(_, given)| given.to_owned());
                let unique_id = match keep {
                    true => given,
                    false => {
                        let is_taken = now.same_uids && taken.contains(&one.uid);
                        Some(self.unique_id(name, was, one, is_taken))
                    }
                };
                let message = ImportMessage {
                    uid: if keep { one.uid } else { 0 },
                    bytes: message.size as usize,
                    flags: names(&mailbox, message.flags),
                    internal_ms: message.internal_ms,
                    unique_id,
                };
                (mailbox.message(one.place).key(), message)
            };
            if message.bytes > self.message_bytes_max {
                row.problems.push(format!(
                    "UID {}: {}",
                    one.uid,
                    beyond(message.bytes, self.message_bytes_max)
                ));
                continue;
            }
            let octets = match self.past.octets(key) {
                Ok(octets) => octets,
                Err(why) => {
                    row.problems.push(format!("UID {}: {why}", one.uid));
                    continue;
                }
            };
            if !frame.has_room(&message) {
                self.append(now, 0, std::mem::take(&mut frame))?;
                row.count(&std::mem::take(&mut sent));
            }
            frame.push(message, octets);
            sent.push(left(one));
        }
        if !frame.messages.is_empty() {
            self.append(now, 0, frame)?;
            row.count(&sent);
        }
        Ok(())
    }

    /// Sends a frame; an empty one only moves UIDNEXT.
    fn append(&self, now: &Now, uid_next: u32, frame: Frame) -> Result<(), String> {
        let Frame { messages, octets, .. } = frame;
        let step =
            ImportStep::Append { mailbox: now.name.clone(), uid_next, messages, octets: Default::default() };
        self.here.import(step, &octets, &mut |_| Ok(()))
    }

    /// Has the store put back what it still has, and sets flags as they were at the moment.
    fn put_back(
        &self,
        name: &str,
        was: &Was,
        now: &Now,
        back: &[&Kept],
        row: &mut Row,
    ) -> Result<(), String> {
        let mailbox = self.of(name)?;
        let of = self.past.account()?.id().0;
        for batch in back.chunks(RESTORE_MESSAGES_MAX as usize) {
            let uids: UidSet = batch.iter().map(|kept| Uid(kept.uid)).collect();
            let done = self.put_back_batch(of, was.id, uids, &now.name)?;
            let pairs = ranged(&done.source).zip(ranged(&done.target)).collect::<BTreeMap<u32, u32>>();
            let mut groups: BTreeMap<Vec<String>, Ranges> = BTreeMap::new();
            for kept in batch {
                if let Some(&target) = pairs.get(&kept.uid) {
                    let flags = names(&mailbox, mailbox.message(kept.place).flags);
                    groups.entry(flags).or_default().push(target);
                    row.count(&[left(kept)]);
                }
            }
            self.set(now, &groups)?;
        }
        Ok(())
    }

    fn put_back_batch(&self, of: u64, from: u32, uids: UidSet, to: &str) -> Result<PutBack, String> {
        for _ in 0..RESTORE_ATTEMPTS_MAX {
            let state = self.here.state()?;
            let uid_next = state.named(to).map_or(1, |mailbox| mailbox.uid_next);
            let done = self.here.put_back(RestoreStep::PutBack {
                of,
                left: from,
                uids: uids.ranges().to_vec(),
                to: to.to_owned(),
                uid_next,
            })?;
            if !done.changed {
                return Ok(done);
            }
        }
        Err(format!("{to} changed {RESTORE_ATTEMPTS_MAX} times meanwhile: repeat this"))
    }

    /// Sets the flags of messages that were there as they were.
    fn flags(&self, name: &str, was: &Was, now: &Now, found: &Compared, row: &mut Row) -> Result<(), String> {
        let mailbox = self.of(name)?;
        let mut groups: BTreeMap<Vec<String>, BTreeSet<u32>> = BTreeMap::new();
        for &(there, here) in &found.pairs {
            let flags = names(&mailbox, mailbox.message(was.messages[there].place).flags);
            let held = &now.messages[here];
            if !same_flags(&flags, &held.flags) {
                groups.entry(flags).or_default().insert(held.uid);
            }
        }
        row.flags = groups.values().map(|uids| uids.len() as u64).sum();
        if self.wish.dry_run {
            return Ok(());
        }
        let ranges = groups.into_iter().map(|(flags, uids)| {
            let mut ranges = Ranges::default();
            uids.into_iter().for_each(|uid| ranges.push(uid));
            (flags, ranges)
        });
        self.set(now, &ranges.collect())
    }

    fn set(&self, now: &Now, groups: &BTreeMap<Vec<String>, Ranges>) -> Result<(), String> {
        for (flags, Ranges(uids)) in groups {
            for uids in uids.chunks(IMPORT_FRAME_RANGES_MAX) {
                let (mailbox, uids, flags) = (now.name.clone(), uids.to_vec(), flags.clone());
                self.here.change(ImportStep::Flags { mailbox, uids, flags })?;
            }
        }
        Ok(())
    }
}

fn left(kept: &Kept) -> Left {
    Left { uid: kept.uid, body: kept.body, size: kept.size, gone_ms: 0 }
}

/// Flags by name, without `\Deleted`: or the next EXPUNGE would take what came back.
fn names(mailbox: &MailboxRef<'_>, bits: FlagBits) -> Vec<String> {
    names_of(&flags_of(mailbox, bits.without(FlagBits::DELETED)))
}

fn ranged(ranges: &[(u32, u32)]) -> impl Iterator<Item = u32> + '_ {
    ranges.iter().flat_map(|&(first, last)| first..=last)
}
