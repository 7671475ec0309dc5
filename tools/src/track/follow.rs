//! Where certain messages went.
//!
//! *Owns*: the mailboxes and UIDs that show a followed body, and their flags, as the log goes by. *Promises*:
//! every change that touches one of them is a [`Step`]. *Assumes*: each change is told together with its
//! [`Effect`]. *Never*: follows a body that nobody asked for.

use std::collections::{BTreeMap, BTreeSet};

use ringpost_engine::change::{Change, FlagOp, Flags, Stamp, UidSet};
use ringpost_engine::ids::{AccountId, BodyId, MailboxId, ModSeq, Uid};

use super::Effect;
use super::account::{arrivals, rank};
use crate::describe;

/// A message in a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instance {
    /// Whose.
    pub account: AccountId,
    /// Where.
    pub mailbox: MailboxId,
    /// Which.
    pub uid: Uid,
}

/// Something that happened to a followed message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It came into a mailbox; with flags.
    Arrived {
        /// As this.
        to: Instance,
        /// What.
        body: BodyId,
        /// Flags it came with.
        flags: Vec<String>,
    },
    /// It took the place of another message, or another took its place.
    Replaced {
        /// The one that is gone.
        gone: Instance,
    },
    /// Its flags were changed.
    Flags {
        /// Which message.
        of: Instance,
        /// What was asked for: `+`, `-` or `=` and the flags.
        asked: String,
        /// Its flags from then on; none when the change was conditional and came too late.
        now: Option<Vec<String>>,
    },
    /// It was copied or moved.
    Copied {
        /// From where.
        from: Instance,
        /// To where.
        to: Instance,
        /// Whether the original is gone.
        moved: bool,
    },
    /// It had left a mailbox and was put back.
    Restored {
        /// Where it had been.
        from: Instance,
        /// Where it is now.
        to: Instance,
    },
    /// It was sent to a POP3 client as a whole.
    Read {
        /// Which.
        of: Instance,
    },
    /// It was expunged.
    Expunged {
        /// From where.
        of: Instance,
    },
    /// Its mailbox was deleted.
    MailboxGone {
        /// Where it was.
        of: Instance,
    },
    /// Its account was deleted.
    AccountGone {
        /// Where it was.
        of: Instance,
    },
}

/// What is known of a followed message in a mailbox.
#[derive(Clone, Debug)]
struct Held {
    body: BodyId,
    flags: BTreeSet<String>,
    modseq: ModSeq,
}

/// Stands for the flags that a message may have had before the log tells of it.
const UNTOLD: &str = "?";

/// See the module's head.
#[derive(Debug, Default)]
pub struct Followed {
    bodies: BTreeSet<BodyId>,
    held: BTreeMap<Instance, Held>,
    /// Where they were, and as what they left.
    left: BTreeMap<Instance, Held>,
}

impl Followed {
    /// From now on this body is followed.
    pub fn add(&mut self, body: BodyId) {
        self.bodies.insert(body);
    }

    /// A mailbox shows this body, and the log does not tell any more how it came there, nor all its flags.
    pub fn found(&mut self, at: Instance, body: BodyId) {
        let flags = BTreeSet::from([UNTOLD.to_owned()]);
        self.held.insert(at, Held { body, flags, modseq: ModSeq(0) });
    }

    /// The mailboxes that show what is followed, with flags.
    pub fn shown(&self) -> impl Iterator<Item = (Instance, BodyId, Vec<String>)> + '_ {
        self.held.iter().map(|(&at, held)| (at, held.body, held.flags.iter().cloned().collect()))
    }

    /// What a change did to what is followed.
    pub fn apply(
        &mut self,
        account: AccountId,
        change: &Change,
        stamp: &Stamp,
        effect: &Effect,
    ) -> Vec<Step> {
        if self.bodies.is_empty() {
            return Vec::new();
        }
        if let Change::Read { of, mailbox, uids } = change {
            return self.read(*of, *mailbox, uids);
        }
        match effect {
            Effect::Other => match change {
                Change::FlagsStore { mailbox, .. } => self.store(account, *mailbox, change, stamp),
                _ => Vec::new(),
            },
            Effect::Arrived { mailbox, replaced, .. } => {
                let mut steps = self.arrive(account, *mailbox, change, stamp);
                if let &Some((mailbox, uid)) = replaced {
                    let gone = Instance { account, mailbox, uid };
                    if self.leave(gone).is_some() || !steps.is_empty() {
                        steps.push(Step::Replaced { gone });
                    }
                }
                steps
            }
            Effect::Copied { from, to, uids, first, moved } => {
                let mut originals = self.within(account, Some(*from));
                originals.retain(|from| uids.contains(from.uid));
                let copy = |from: Instance| {
                    let uid = Uid(first.0.saturating_add(rank(uids, from.uid) as u32));
                    let to = Instance { account, mailbox: *to, uid };
                    let held = if *moved { self.leave(from) } else { self.held.get(&from).cloned() };
                    self.held.insert(to, Held { modseq: stamp.modseq, ..held? });
                    Some(Step::Copied { from, to, moved: *moved })
                };
                originals.into_iter().filter_map(copy).collect()
            }
            Effect::Restored { of, from, uids, to, first } => {
                let left = self.left.iter().filter(|(at, _)| (at.account, at.mailbox) == (*of, *from));
                let left = left.filter(|(at, _)| uids.contains(at.uid)).map(|(at, held)| (*at, held.clone()));
                let restore = |(from, held): (Instance, Held)| {
                    let uid = Uid(first.0.saturating_add(rank(uids, from.uid) as u32));
                    let to = Instance { account, mailbox: *to, uid };
                    self.held.insert(to, Held { modseq: stamp.modseq, ..held });
                    Step::Restored { from, to }
                };
                left.collect::<Vec<_>>().into_iter().map(restore).collect()
            }
            Effect::Expunged { mailbox, uids } => {
                let mut gone = self.within(account, Some(*mailbox));
                gone.retain(|of| uids.contains(of.uid));
                self.drop_all(gone, |of| Step::Expunged { of })
            }
            Effect::MailboxGone(mailbox) => {
                let gone = self.within(account, Some(*mailbox));
                self.drop_all(gone, |of| Step::MailboxGone { of })
            }
            Effect::AccountGone => {
                let gone = self.within(account, None);
                self.drop_all(gone, |of| Step::AccountGone { of })
            }
        }
    }

    /// Also what has left since: reading is noted a little later.
    fn read(&self, account: AccountId, mailbox: MailboxId, uids: &UidSet) -> Vec<Step> {
        let known = self.held.keys().chain(self.left.keys());
        let own = known.filter(|at| (at.account, at.mailbox) == (account, mailbox) && uids.contains(at.uid));
        own.map(|&of| Step::Read { of }).collect()
    }

    fn within(&self, account: AccountId, mailbox: Option<MailboxId>) -> Vec<Instance> {
        let low = Instance { account, mailbox: mailbox.unwrap_or_default(), uid: Uid(0) };
        let high = Instance { account, mailbox: mailbox.unwrap_or(MailboxId(u32::MAX)), uid: Uid(u32::MAX) };
        self.held.range(low..=high).map(|(&at, _)| at).collect()
    }

    fn drop_all(&mut self, gone: Vec<Instance>, step: impl Fn(Instance) -> Step) -> Vec<Step> {
        gone.iter().for_each(|at| drop(self.leave(*at)));
        gone.into_iter().map(step).collect()
    }

    /// It is not there any more, and may be put back.
    fn leave(&mut self, at: Instance) -> Option<Held> {
        let held = self.held.remove(&at)?;
        self.left.insert(at, held.clone());
        Some(held)
    }

    fn arrive(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        change: &Change,
        stamp: &Stamp,
    ) -> Vec<Step> {
        let mut steps = Vec::new();
        for (uid, body, flags) in arrivals(change, stamp) {
            if self.bodies.contains(&body) {
                let (to, flags) = (Instance { account, mailbox, uid }, describe::flags(flags));
                let held = Held { body, flags: flags.iter().cloned().collect(), modseq: stamp.modseq };
                self.held.insert(to, held);
                steps.push(Step::Arrived { to, body, flags });
            }
        }
        steps
    }

    fn store(&mut self, account: AccountId, of: MailboxId, change: &Change, stamp: &Stamp) -> Vec<Step> {
        let Change::FlagsStore { uids, op, flags, unchanged_since, .. } = change else { return Vec::new() };
        let mut steps = Vec::new();
        for of in self.within(account, Some(of)) {
            let Some(held) = self.held.get_mut(&of).filter(|_| uids.contains(of.uid)) else { continue };
            let late = unchanged_since.is_some_and(|since| held.modseq > since);
            if !late {
                change_flags(&mut held.flags, *op, flags);
                held.modseq = stamp.modseq;
            }
            let now = (!late).then(|| held.flags.iter().cloned().collect());
            steps.push(Step::Flags { of, asked: asked(*op, flags), now });
        }
        steps
    }
}

fn change_flags(held: &mut BTreeSet<String>, op: FlagOp, flags: &Flags) {
    let named = describe::flags(flags);
    // Keywords compare without case (rfc3501#2.3.2 leaves it open; the engine does).
    let is_named = |flag: &String| named.iter().any(|named| named.eq_ignore_ascii_case(flag));
    match op {
        FlagOp::Replace => *held = named.into_iter().collect(),
        FlagOp::Remove => held.retain(|flag| !is_named(flag)),
        FlagOp::Add => {
            held.retain(|flag| !is_named(flag));
            held.extend(named);
        }
    }
}

fn asked(op: FlagOp, flags: &Flags) -> String {
    let sign = match op {
        FlagOp::Replace => '=',
        FlagOp::Add => '+',
        FlagOp::Remove => '-',
    };
    format!("{sign}({})", describe::flags(flags).join(" "))
}
