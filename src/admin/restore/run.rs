//! One restore from what the store itself still has.
//!
//! *Owns*: the order of the steps: look, choose, make, compare, put back. *Promises*: nothing is removed or changed,
//! messages only come; batch by batch durable; cut short at any point, the next run goes on where this one was; a run
//! that finds everything there does nothing. *Assumes*: others may change the account meanwhile. *Never*: holds more
//! than the list of what left and one mailbox's messages.
//!
//! ```text
//!  state ─► what left ─► by mailbox ─► target ─► make, mark ─► its messages ─► what is missing ─► put back, in batches
//!                                                    ▲                                                │
//!                                                    └── a message came between look and put back ────┘
//! ```

use std::collections::BTreeMap;

use ringpost_engine::change::UidSet;
use ringpost_engine::ids::Uid;
use ringpost_engine::limits::RESTORE_MESSAGES_MAX;

use super::here::{Here, State};
use super::plan::{Key, Source, Target, Targets, no_account, one_each, sources};
use super::present::{Left, Present};
use super::report::{Report, Row};
use super::wire::RestoreStep;
use super::wish::Wish;
use crate::limits::RESTORE_ATTEMPTS_MAX;

/// Restores.
///
/// # Errors
/// Why nothing was done, or how many problems there were.
pub fn run(here: &Here<'_>, wish: &Wish, report: &mut Report) -> Result<(), String> {
    let state = here.state()?;
    if state.account.is_none() {
        return Err(no_account(here.address(), &state.gone));
    }
    let mut sources = sources(&state, wish);
    if sources.is_empty() {
        return Err(format!("{} has and had no such mailbox: --list shows what there is", here.address()));
    }
    if let Some(at_ms) = wish.at_ms.filter(|&at_ms| at_ms < state.reaped_ms) {
        report.incomplete(at_ms, state.reaped_ms)?;
    }
    if let rotten @ 1.. = choose(here, wish, state.accounts(), &mut sources)? {
        report.problem(&format!(
            "{rotten} messages are not what was written and are left out: a backup may have them, see --from"
        ))?;
    }
    if !wish.emails.is_empty() && wish.mailboxes.is_empty() {
        one_each(&state, &mut sources);
    }
    let mut ordered: Vec<Source> = sources.into_values().filter(|source| !source.left.is_empty()).collect();
    ordered.sort_by(|a, b| (&a.name, a.key).cmp(&(&b.name, b.key)));
    let mut restore =
        Restore { here, wish, state: &state, target: Target::default(), present: Present::default() };
    let mut targets = Targets::new(&state, wish.into.as_deref());
    for source in &ordered {
        let mut row = Row { from: source.name.clone(), deleted: source.gone_ms, ..Row::default() };
        if let Err(why) = restore.source(source, &mut targets, &mut row) {
            row.problems.push(why);
        }
        report.row(&row)?;
    }
    if wish.dry_run {
        report.room(here)?;
    }
    report.end(wish)
}

/// Finds the messages that are meant. Returns how many of them are rotten.
fn choose(
    here: &Here<'_>,
    wish: &Wish,
    accounts: Vec<u64>,
    sources: &mut BTreeMap<Key, Source>,
) -> Result<u64, String> {
    let (window, mut rotten) = ((wish.left_from_ms(), wish.until_ms), 0);
    here.gone(accounts, window, false, &mut |gone| {
        if let Some(source) = sources.get_mut(&(gone.of, gone.mailbox))
            && source.rule.takes(&gone)
            && wish.takes(&gone)
        {
            let (uid, body, size, gone_ms) = (gone.uid, gone.body, gone.size, gone.gone_ms);
            match gone.hidden {
                true => rotten += 1,
                false => source.left.push(Left { uid, body, size, gone_ms }),
            }
        }
        Ok(())
    })?;
    Ok(rotten)
}

struct Restore<'a> {
    here: &'a Here<'a>,
    wish: &'a Wish,
    state: &'a State,
    /// Of the source before, and what is in it.
    target: Target,
    present: Present,
}

impl Restore<'_> {
    fn source(&mut self, source: &Source, targets: &mut Targets<'_>, row: &mut Row) -> Result<(), String> {
        let target = targets.of(source)?;
        row.to.clone_from(&target.name);
        row.make = target.make;
        if self.target.name != target.name {
            self.present = Present::default();
        }
        self.prepare(&target)?;
        self.target = target;
        let put = self.fill(source, row);
        self.present.claim(&source.left);
        put
    }

    /// Makes the target if need be, and learns what is in it.
    fn prepare(&mut self, target: &Target) -> Result<(), String> {
        if self.wish.dry_run && target.make {
            return Ok(());
        }
        if !self.wish.dry_run && target.make {
            self.here.make(&target.name, &target.special_use, target.mark.as_deref().unwrap_or_default())?;
        } else if let Some(mark) = target.mark.as_deref().filter(|_| !self.wish.dry_run) {
            self.here.sign(&target.name, mark)?;
        }
        match self.state.named(&target.name).filter(|mailbox| !mailbox.no_select) {
            _ if self.target.name == target.name => Ok(()),
            Some(mailbox) => self.look(&target.name, mailbox.uid_next),
            // It was just made, or would have been.
            None => {
                self.present.begin(1);
                Ok(())
            }
        }
    }

    /// UIDNEXT was learnt before: whatever came since then is noticed when messages are put back.
    fn look(&mut self, name: &str, uid_next: u32) -> Result<(), String> {
        self.present.begin(uid_next);
        self.look_above(name, 0)
    }

    fn look_above(&mut self, name: &str, after: u32) -> Result<(), String> {
        let present = &mut self.present;
        self.here.messages(name, after, &mut |held| present.see(held.body, held.saved_ms))
    }

    /// Only at what is new: in a mailbox that mail comes into all the time, looking at all of it would never end.
    fn look_again(&mut self) -> Result<(), String> {
        let (state, name) = (self.here.state()?, self.target.name.clone());
        let mailbox = state.named(&name).ok_or_else(|| format!("{name} is gone meanwhile"))?;
        let known = std::mem::replace(&mut self.present.uid_next, mailbox.uid_next);
        self.look_above(&name, known.saturating_sub(1))
    }

    fn fill(&mut self, source: &Source, row: &mut Row) -> Result<(), String> {
        let is_source = source.gone_ms.is_none() && source.name == self.target.name;
        let mut missing = self.present.missing(&source.left, source.rule, is_source);
        row.there = (source.left.len() - missing.len()) as u64;
        if self.wish.dry_run {
            row.count(&missing);
            missing.iter().for_each(|left| self.present.see(left.body, u64::MAX));
            return Ok(());
        }
        let mut attempts = 0;
        while !missing.is_empty() {
            let batch = missing.len().min(RESTORE_MESSAGES_MAX as usize);
            let later = missing.split_off(batch);
            if self.put_back(source, &missing, row)? {
                (missing, attempts) = (later, 0);
                continue;
            }
            attempts += 1;
            if attempts == RESTORE_ATTEMPTS_MAX {
                return Err(format!("{} changed {attempts} times meanwhile: repeat this", self.target.name));
            }
            self.look_again()?;
            missing = self.present.missing(&source.left, source.rule, is_source);
        }
        Ok(())
    }

    /// Puts a batch back. False: the mailbox has changed since it was looked at.
    fn put_back(&mut self, source: &Source, batch: &[Left], row: &mut Row) -> Result<bool, String> {
        let uids: UidSet = batch.iter().map(|left| Uid(left.uid)).collect();
        let done = self.here.put_back(RestoreStep::PutBack {
            of: source.key.0,
            left: source.key.1,
            uids: uids.ranges().to_vec(),
            to: self.target.name.clone(),
            uid_next: self.present.uid_next,
        })?;
        if done.changed {
            return Ok(false);
        }
        let back = UidSet::from_ranges(done.source).ok_or("the server answered UIDs in no order")?;
        let came: Vec<Left> = batch.iter().filter(|left| back.contains(Uid(left.uid))).copied().collect();
        row.count(&came);
        came.iter().for_each(|left| self.present.see(left.body, u64::MAX));
        if let Some((_, last)) = done.target.last() {
            self.present.uid_next = last + 1;
        }
        match batch.len() - came.len() {
            0 => Ok(true),
            lost => Err(format!("{lost} messages cannot be had back any more: their time is over")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use serde_json::json;

    use super::super::ask::{Ask, Each};
    use super::*;
    use crate::admin::import::wire::ImportStep;
    use crate::admin::wire::{GoneLine, Line, Request};

    /// An account whose INBOX gets a message before each attempt to put something back, some attempts long.
    struct Busy {
        uid_next: u32,
        attempts: u32,
        /// Messages of each listing.
        listed: Vec<usize>,
    }

    impl Busy {
        fn answer(&mut self, step: &RestoreStep) -> Vec<Line> {
            match step {
                RestoreStep::State => vec![
                    Line::Owner { shard: 0, reaped_ms: 0, unfinished: false },
                    parsed(json!({"account": {
                        "address": "a@b", "id": 1, "services": [], "messages": 0, "bytes": 0, "created_ms": 0,
                    }})),
                    parsed(json!({"mailbox": {
                        "name": "INBOX", "id": 1, "special_use": "", "no_select": false, "uid_validity": 1,
                        "uid_next": self.uid_next, "imported_next": 0, "mark": "", "restored": "", "keywords": [],
                        "highest_modseq": 1, "messages": 0, "unseen": 0, "bytes": 0,
                    }})),
                ],
                RestoreStep::Gone { .. } => [1, 2]
                    .map(|uid| GoneLine { of: 1, mailbox: 1, uid, body: uid.into(), ..GoneLine::default() })
                    .map(Line::Gone)
                    .to_vec(),
                RestoreStep::PutBack { uids, uid_next, .. } => {
                    if self.attempts > 0 {
                        (self.attempts, self.uid_next) = (self.attempts - 1, self.uid_next + 1);
                    }
                    let changed = *uid_next != self.uid_next;
                    let now = vec![(self.uid_next, self.uid_next + 1)];
                    let (source, target) = if changed { Default::default() } else { (uids.clone(), now) };
                    vec![Line::PutBack { changed, source, target }]
                }
                other => panic!("{other:?}"),
            }
        }

        fn list(&mut self, after: u32) -> Vec<Line> {
            let line = |uid: u32| {
                parsed(json!({"message": {
                    "uid": uid, "size": 1, "internal_ms": 0, "saved_ms": 0, "body": 1_000 + uid, "flags": [],
                    "unique_id": null,
                }}))
            };
            let lines: Vec<Line> = (after + 1..self.uid_next).map(line).collect();
            self.listed.push(lines.len());
            lines
        }
    }

    fn parsed(line: serde_json::Value) -> Line {
        serde_json::from_value(line).unwrap()
    }

    impl Ask for RefCell<Busy> {
        fn ask(&self, request: &Request, _: &[u8], each: &mut Each<'_>) -> Result<(), String> {
            let lines = match request {
                Request::Restore { step, .. } => self.borrow_mut().answer(step),
                Request::Import { step: ImportStep::Messages { after, .. }, .. } => {
                    self.borrow_mut().list(*after)
                }
                other => panic!("{other:?}"),
            };
            lines.into_iter().try_for_each(each)
        }
    }

    #[test]
    fn a_busy_mailbox_is_looked_at_once_and_then_only_at_what_came() {
        let busy = RefCell::new(Busy { uid_next: 5_001, attempts: 3, listed: Vec::new() });
        let wish = Wish {
            mailboxes: vec!["INBOX".to_owned()],
            emails: Default::default(),
            uids: Default::default(),
            at_ms: None,
            since_ms: 0,
            until_ms: u64::MAX,
            into: None,
            dry_run: false,
        };
        run(&Here::new(&busy, "a@b"), &wish, &mut Report::new(true)).unwrap();
        assert_eq!(busy.borrow().listed, [5_000, 1, 1, 1]);
    }
}
