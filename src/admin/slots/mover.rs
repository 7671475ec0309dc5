//! Moving one slot to another shard while it is served.
//!
//! *Owns*: the order of things, and which body of the one log is which in the other. *Promises*: until the
//! claim the slot is where it was, after it where it goes, whatever fails or is cut; bodies are copied while
//! their accounts are served, at `limits::SLOT_MOVE_BYTES_PER_SECOND`. *Assumes*: nobody else moves a slot.
//! *Never*: holds more octets than one message or `limits::SLOT_BATCH_BYTES`.
//!
//! ```text
//!  expect ─► bodies ──► close ─► hold ─► what is new, all rows ─► hand ─┬─► claimed: there
//!            (served)      └─────── seconds, writes wait ────────┘      └─► refused: open, as it was
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ringpost_engine::arrival::Arrival;
use ringpost_engine::change::{Inheritance, NewBody};
use ringpost_engine::ids::{AccountId, BodyId, BodyKey, MailboxId, ShardId, Slot, Uid};
use ringpost_engine::index::moving::{Departure, shell};
use ringpost_engine::index::{Buried, BuriedMailbox, Message};
use ringpost_engine::limits::{ARRIVAL_MESSAGES_MAX, SLOT_ACCOUNTS_MAX};
use ringpost_engine::owners::{Arrived, Claim};

use crate::admin::route::{Shards, unexpected};
use crate::limits::{
    SLOT_BATCH_BYTES, SLOT_BATCH_PIECES, SLOT_BODIES_MAX, SLOT_BUSY_TRIES, SLOT_BUSY_WAIT_MS,
    SLOT_MOVE_BYTES_PER_SECOND,
};
use crate::shard::admin::slot::{SlotReply, SlotStep};
use crate::shard::admin::{AdminReply, AdminRequest};

/// What was moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Accounts.
    pub accounts: u64,
    /// Messages of these, those included that can be had back.
    pub messages: u64,
    /// Octets that were copied.
    pub bytes: u64,
    /// Milliseconds for which writes waited.
    pub held_ms: u64,
}

/// Told now and then; an error ends the move.
pub type Tell<'a> = dyn FnMut(&Moved) -> std::io::Result<()> + 'a;

/// What is done with rows of removed messages, as many as come at a time.
type EachRows<'e, M> = dyn FnMut(&mut M, Vec<Buried>) -> Result<(), String> + 'e;

/// See the module's head.
pub struct Mover<'a> {
    shards: &'a dyn Shards,
    slot: Slot,
    from: ShardId,
    to: ShardId,
    /// Bodies by their ids in the old log.
    copied: BTreeMap<BodyId, BodyId>,
    /// What the next body on the shelf gets.
    shelf: Uid,
    moved: Moved,
    began: Instant,
    /// Whether the slot is closed: then nobody is to wait for the bandwidth.
    closed: bool,
    tell: &'a mut Tell<'a>,
}

/// Everything of a slot that has a name.
struct Names {
    accounts: Vec<AccountId>,
    gone: Vec<BuriedMailbox>,
}

impl Names {
    /// Accounts that are deleted and of which something can be had back.
    fn deleted(&self) -> BTreeSet<AccountId> {
        let there: BTreeSet<AccountId> = self.accounts.iter().copied().collect();
        self.gone.iter().map(|gone| gone.account).filter(|account| !there.contains(account)).collect()
    }

    fn all(&self) -> BTreeSet<AccountId> {
        self.gone.iter().map(|gone| gone.account).chain(self.accounts.iter().copied()).collect()
    }
}

/// Moves a slot; the error says why it is where it was.
pub fn move_slot<'a>(
    shards: &'a dyn Shards,
    slot: Slot,
    to: ShardId,
    tell: &'a mut Tell<'a>,
) -> Result<Moved, String> {
    let from = shards.owner(slot);
    let mut mover = Mover {
        shards,
        slot,
        from,
        to,
        copied: BTreeMap::new(),
        shelf: Uid(1),
        moved: Moved::default(),
        began: Instant::now(),
        closed: false,
        tell,
    };
    let done = mover.run();
    // What came and was not claimed goes, and so does what kept the bodies.
    let cleared = mover.until_free(to, || SlotStep::Expect);
    if let Ok(SlotReply::Table(seats)) = mover.ask(from, SlotStep::Table) {
        shards.learn(&seats);
    }
    done?;
    cleared?;
    Ok(mover.moved)
}

impl Mover<'_> {
    fn run(&mut self) -> Result<(), String> {
        self.until_free(self.to, || SlotStep::Expect)?;
        let holder = shell::holder_of(self.slot);
        self.take(vec![(holder, shell::shell(holder)), (holder, shell::shelf())])?;
        let names = self.names()?;
        for account in &names.accounts {
            self.copy_bodies(*account)?;
        }
        self.removed(&names.all(), &mut |mover, rows| {
            mover.shelve(rows.iter().map(|row| row.message.key()))
        })?;
        // A backup must not see one shard before the claim and another behind it.
        let _order = self.shards.order().lock().map_err(|error| error.to_string())?;
        let held = Instant::now();
        let done = self.finish();
        self.moved.held_ms = held.elapsed().as_millis() as u64;
        if done.is_err() {
            // Opens by itself if this does not come through.
            drop(self.request(self.from, SlotStep::Open));
        }
        done
    }

    /// What is done while the slot is closed.
    fn finish(&mut self) -> Result<(), String> {
        let closed = self.ask(self.from, SlotStep::Close { slot: self.slot, to: self.to })?;
        let SlotReply::Closed { seat, inherit, time_ms } = closed else { return Err(strange()) };
        self.closed = true;
        let names = self.names()?;
        let aliases = self.aliases()?;
        self.done(self.from, SlotStep::Hold { accounts: names.accounts.clone() })?;
        let mut claimed = Vec::new();
        let mut batch = Batch { time_ms, ..Batch::default() };
        for account in &names.accounts {
            claimed.push(self.account(*account, &mut batch)?);
        }
        for account in names.deleted() {
            batch.pieces.push((account, shell::shell(account)));
            claimed.push(Arrived { account, ..Arrived::default() });
        }
        for gone in &names.gone {
            let piece = Arrival::RemovedMailbox(Box::new(gone.clone()));
            self.push(&mut batch, gone.account, piece)?;
        }
        self.flush(&mut batch)?;
        self.removed(&names.all(), &mut |mover, rows| mover.bury(rows, time_ms))?;
        batch.inherit = Some(Inheritance { next_account: 0, ..inherit });
        self.flush(&mut batch)?;
        self.moved.accounts = names.accounts.len() as u64;
        let epoch = seat.epoch.checked_add(1).ok_or("the slot has moved too often")?;
        let claim = Claim { slot: self.slot, epoch, accounts: claimed, aliases };
        if !claim.fits() {
            return Err(format!(
                "slot {} has more than {SLOT_ACCOUNTS_MAX} accounts, or too many aliases",
                self.slot
            ));
        }
        self.done(self.from, SlotStep::Hand(Box::new(claim)))
    }

    fn names(&self) -> Result<Names, String> {
        let (mut accounts, mut gone) = (Vec::new(), Vec::new());
        let mut after = String::new();
        loop {
            let step = SlotStep::Accounts { slot: self.slot, after };
            let SlotReply::Accounts(more, next) = self.ask(self.from, step)? else { return Err(strange()) };
            accounts.extend(more);
            match next {
                Some(next) if accounts.len() <= SLOT_ACCOUNTS_MAX => after = next,
                _ => break,
            }
        }
        let mut from = 0;
        loop {
            let step = SlotStep::Gone { slot: self.slot, from };
            let SlotReply::Gone(more, next) = self.ask(self.from, step)? else { return Err(strange()) };
            gone.extend(more);
            match next {
                Some(next) => from = next,
                None => return Ok(Names { accounts, gone }),
            }
        }
    }

    fn aliases(&self) -> Result<Vec<(String, Vec<String>)>, String> {
        let (mut aliases, mut after) = (Vec::new(), String::new());
        loop {
            let step = SlotStep::Aliases { slot: self.slot, after };
            let SlotReply::Aliases(more, next) = self.ask(self.from, step)? else { return Err(strange()) };
            aliases.extend(more);
            match next {
                Some(next) => after = next,
                None => return Ok(aliases),
            }
        }
    }

    /// Copies bodies of an account that is served.
    fn copy_bodies(&mut self, account: AccountId) -> Result<(), String> {
        let mut next = Some((MailboxId(0), Uid(0)));
        while let Some(from) = next {
            let step = SlotStep::Bodies { account, from };
            let SlotReply::Bodies(keys, behind) = self.ask(self.from, step)? else { return Err(strange()) };
            self.shelve(keys.into_iter())?;
            next = behind;
        }
        Ok(())
    }

    /// Copies those that are not there, and puts them on the shelf.
    fn shelve(&mut self, keys: impl Iterator<Item = BodyKey>) -> Result<(), String> {
        let new: BTreeMap<BodyId, BodyKey> = keys.map(|key| (key.id, key)).collect();
        let new: Vec<BodyKey> = new.into_values().filter(|key| !self.copied.contains_key(&key.id)).collect();
        for group in new.chunks(ARRIVAL_MESSAGES_MAX) {
            let mut shown = Vec::new();
            self.bring(group, &mut shown)?;
            self.show(shown)?;
        }
        Ok(())
    }

    fn show(&mut self, shown: Vec<BodyKey>) -> Result<(), String> {
        let holder = shell::holder_of(self.slot);
        let count = shown.len() as u32;
        let piece = shell::shelve(self.shelf, shown.into_iter());
        self.shelf = Uid(self.shelf.0 + count);
        self.take(vec![(holder, piece)])
    }

    /// Copies bodies; `shown` gets those that nothing shows yet. What is much is shown on the way.
    fn bring(&mut self, keys: &[BodyKey], shown: &mut Vec<BodyKey>) -> Result<(), String> {
        if self.copied.len() + keys.len() > SLOT_BODIES_MAX {
            return Err(format!("slot {} has more than {SLOT_BODIES_MAX} messages", self.slot));
        }
        let (mut bodies, mut bytes, mut of) = (Vec::new(), 0, Vec::new());
        for key in keys {
            let body = self.body(*key)?;
            bytes += u64::from(key.len) + u64::from(key.summary_len);
            bodies.push(body);
            of.push(*key);
            if bytes >= SLOT_BATCH_BYTES {
                self.send(std::mem::take(&mut bodies), std::mem::take(&mut of), shown)?;
                self.show(std::mem::take(shown))?;
                bytes = 0;
                self.pace()?;
            }
        }
        self.send(bodies, of, shown)?;
        self.pace()
    }

    fn send(
        &mut self,
        bodies: Vec<NewBody>,
        of: Vec<BodyKey>,
        shown: &mut Vec<BodyKey>,
    ) -> Result<(), String> {
        let account = shell::holder_of(self.slot);
        let reply = self.until_free(self.to, || SlotStep::Bring { account, bodies: bodies.clone() })?;
        let SlotReply::Brought(ids) = reply else { return Err(strange()) };
        for (key, id) in of.into_iter().zip(ids) {
            self.copied.insert(key.id, id);
            shown.push(BodyKey { id, ..key });
            self.moved.bytes += u64::from(key.len);
        }
        Ok(())
    }

    /// A body in memory of this thread: pages that are not in memory stall nobody else.
    fn body(&self, key: BodyKey) -> Result<NewBody, String> {
        let mut parts: Vec<Bytes> = Vec::new();
        let mut skip = 0;
        loop {
            let step = SlotStep::Octets { key, skip };
            let SlotReply::Octets { summary, octets } = self.ask(self.from, step)? else {
                return Err(strange());
            };
            skip += octets.len() as u32;
            let is_last = skip >= key.len || octets.is_empty();
            parts.push(Bytes::copy_from_slice(&octets));
            if is_last {
                let is_whole = skip == key.len;
                let body = NewBody { parts, summary: Bytes::copy_from_slice(&summary) };
                return is_whole
                    .then_some(body)
                    .ok_or_else(|| format!("{} octets at {} are missing", key.len, key.id));
            }
        }
    }

    /// All of an account that is held.
    fn account(&mut self, id: AccountId, batch: &mut Batch) -> Result<Arrived, String> {
        let mut departure = Departure::new(id);
        loop {
            let reply = self.ask(self.from, SlotStep::Piece(departure))?;
            let SlotReply::Piece(Some(piece), next) = reply else {
                return Err(format!("account {id} went while it was told"));
            };
            departure = next;
            match piece {
                Arrival::Done { mailboxes, messages, bytes } => {
                    let mailboxes = u32::try_from(mailboxes).map_err(|error| error.to_string())?;
                    self.moved.messages += messages;
                    return Ok(Arrived { account: id, mailboxes, messages, bytes });
                }
                Arrival::Messages { mailbox, mut messages } => {
                    self.rename(messages.iter_mut().map(|moved| &mut moved.message))?;
                    self.push(batch, id, Arrival::Messages { mailbox, messages })?;
                }
                piece => self.push(batch, id, piece)?,
            }
        }
    }

    /// Gives messages the bodies of the other log; those that came since are copied.
    fn rename<'m>(&mut self, messages: impl Iterator<Item = &'m mut Message>) -> Result<(), String> {
        let messages: Vec<&mut Message> = messages.collect();
        self.shelve(messages.iter().map(|message| message.key()))?;
        for message in messages {
            message.body = *self.copied.get(&message.body).ok_or_else(strange)?;
        }
        Ok(())
    }

    /// Looks at all that can be had back of the shard, and hands on what is of these accounts.
    fn removed(
        &mut self,
        accounts: &BTreeSet<AccountId>,
        each: &mut EachRows<'_, Self>,
    ) -> Result<(), String> {
        let mut from = 0;
        loop {
            let reply = self.ask(self.from, SlotStep::Removed { from })?;
            let SlotReply::Removed(mut rows, next) = reply else { return Err(strange()) };
            rows.retain(|row| accounts.contains(&row.account));
            each(self, rows)?;
            match next {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
    }

    fn bury(&mut self, mut rows: Vec<Buried>, time_ms: u64) -> Result<(), String> {
        self.rename(rows.iter_mut().map(|row| &mut row.message))?;
        self.moved.messages += rows.len() as u64;
        let mut by_account: BTreeMap<AccountId, Vec<Buried>> = BTreeMap::new();
        for row in rows {
            by_account.entry(row.account).or_default().push(row);
        }
        let mut batch = Batch { time_ms, ..Batch::default() };
        for (account, rows) in by_account {
            for part in rows.chunks(ARRIVAL_MESSAGES_MAX) {
                self.push(&mut batch, account, Arrival::Removed(part.to_vec()))?;
            }
        }
        self.flush(&mut batch)
    }

    fn push(&mut self, batch: &mut Batch, account: AccountId, piece: Arrival) -> Result<(), String> {
        batch.pieces.push((account, piece));
        if batch.pieces.len() >= SLOT_BATCH_PIECES { self.flush(batch) } else { Ok(()) }
    }

    fn flush(&mut self, batch: &mut Batch) -> Result<(), String> {
        let (pieces, inherit) = (std::mem::take(&mut batch.pieces), batch.inherit.take());
        if pieces.is_empty() && inherit.is_none() {
            return Ok(());
        }
        let step = SlotStep::Take { pieces, inherit, time_ms: batch.time_ms };
        self.done(self.to, step)?;
        (self.tell)(&self.moved).map_err(|error| error.to_string())
    }

    fn take(&self, pieces: Vec<(AccountId, Arrival)>) -> Result<(), String> {
        self.done(self.to, SlotStep::Take { pieces, inherit: None, time_ms: 0 })
    }

    /// Waits until no more was copied than a second may take; not while others wait for the slot.
    fn pace(&mut self) -> Result<(), String> {
        (self.tell)(&self.moved).map_err(|error| error.to_string())?;
        let due = Duration::from_millis(self.moved.bytes.saturating_mul(1000) / SLOT_MOVE_BYTES_PER_SECOND);
        if !self.closed {
            std::thread::sleep(due.saturating_sub(self.began.elapsed()));
        }
        Ok(())
    }

    fn request(&self, shard: ShardId, step: SlotStep) -> Result<AdminReply, String> {
        self.shards.request(shard, AdminRequest::Slot(step))
    }

    fn ask(&self, shard: ShardId, step: SlotStep) -> Result<SlotReply, String> {
        match self.request(shard, step)? {
            AdminReply::Slot(reply) => Ok(reply),
            other => Err(unexpected(other)),
        }
    }

    fn done(&self, shard: ShardId, step: SlotStep) -> Result<(), String> {
        match self.request(shard, step)? {
            AdminReply::Done => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    /// Asks again as long as the shard has no room or is not done with an earlier slot.
    fn until_free(&self, shard: ShardId, step: impl Fn() -> SlotStep) -> Result<SlotReply, String> {
        let mut why = String::new();
        for _ in 0..SLOT_BUSY_TRIES {
            match self.request(shard, step())? {
                AdminReply::Slot(reply) => return Ok(reply),
                AdminReply::Done => return Ok(SlotReply::Table(Vec::new())),
                AdminReply::Refused(refused) => why = refused,
                other => return Err(unexpected(other)),
            }
            std::thread::sleep(Duration::from_millis(SLOT_BUSY_WAIT_MS));
        }
        Err(why)
    }
}

/// Pieces that go together.
#[derive(Default)]
struct Batch {
    pieces: Vec<(AccountId, Arrival)>,
    inherit: Option<Inheritance>,
    time_ms: u64,
}

fn strange() -> String {
    "the shard gave an answer to another question".to_owned()
}
