//! Accounts of another store that arrive while everything else goes on, and goes wrong.
//!
//! *Owns*: who sends what next; what an account was where it came from. *Promises*: before the last piece nobody sees
//! anything of it, after that it is exactly what it was; what was dropped leaves nothing. *Assumes*: whoever sends
//! waits for all other pieces before the last one, and gives up when one of them was refused. *Never*: asks the store
//! how it puts an account together.

use std::collections::{BTreeMap, BTreeSet};

use ringpost_engine::arrival::{Arrival, Inheritance};
use ringpost_engine::change::{Change, NewBody, Outcome, Refusal};
use ringpost_engine::ids::{AccountId, BodyId, BodyKey, Lsn, Now, ShardId};
use ringpost_engine::index::moving::Departure;
use ringpost_engine::index::{Index, Message};
use ringpost_engine::recovery::recover_read_only;
use ringpost_engine::store::Applied;
use ringpost_engine::testing::seed::Seed;

use crate::shown;
use crate::swarm::{HOME, Swarm};
use crate::tally::Kind;
use crate::world::World;

/// Messages of one piece: few, so that an account comes in many.
const PIECE_MESSAGES: usize = 3;
/// The counter of the first account that comes home: none of this store has it.
const AWAY_ACCOUNT: u64 = 1_000;
/// Times that a sender gets a turn once nothing fails any more.
const TURNS_MAX: usize = 2_000;
/// What a generator of its own makes of a seed's number.
const OWN: u64 = 0x00c0_ffee_0b0e_5eed;

/// An account as it is where it comes from.
struct Leaving {
    id: AccountId,
    address: String,
    /// All of it, with bodies of the log it comes from.
    pieces: Vec<Arrival>,
    fingerprint: u64,
    shown: Vec<String>,
    /// What was removed of it.
    removed: BTreeSet<String>,
    arrived: bool,
}

/// One account on its way.
struct Sender {
    leaving: usize,
    /// The next piece.
    next: usize,
    /// Which piece waits at which position; none: that is its end.
    waiting: BTreeMap<Lsn, Option<usize>>,
    /// Pieces that were carried out.
    done: usize,
    /// Bodies that are in this log already.
    copied: BTreeMap<BodyId, BodyId>,
    /// Something of it was refused, or whoever sends has thought better of it.
    is_spoiled: bool,
}

/// What is to be looked at when the store has carried everything out.
enum Due {
    Arrived(usize),
    Dropped(AccountId),
}

/// See the module's head.
pub struct Arrivals {
    seed: Seed,
    source: Box<World>,
    leaving: Vec<Leaving>,
    sender: Option<Sender>,
    due: Vec<Due>,
}

impl Arrivals {
    /// A store of a shard with some accounts in it, all of which are to leave.
    pub fn new(number: u64, shard: ShardId) -> Result<Arrivals, String> {
        let mut seed = Seed::new(number ^ OWN);
        // Its time is over when ours begins: time does not go back from one log to the other.
        let now = Now { unix_ms: 1_000, mono_ms: 0 };
        let mut source = Box::new(World::begin(seed.fork(), Swarm::calm(shard), None, now)?);
        if shard == HOME {
            let inherit = Inheritance { next_account: AWAY_ACCOUNT, uid_validity_floor: 0 };
            source.ask(AccountId(0), Change::Inherit(inherit));
        }
        for _ in 0..10 + seed.below(30) {
            source.now.unix_ms += seed.below(50);
            source.append();
            source.drain()?;
        }
        source.model.compare(&source.store, None)?;
        let replayed = recover_read_only(&mut source.disk, Some(shard), None);
        let index = replayed.map_err(|error| error.to_string())?.index;
        let ids: Vec<AccountId> = source.store.accounts_after("").map(|account| account.id()).collect();
        let leaving: Result<_, String> =
            ids.iter().map(|&id| Leaving::new(&mut source, &index, id)).collect();
        Ok(Arrivals { seed, source, leaving: leaving?, sender: None, due: Vec::new() })
    }
}

impl Leaving {
    fn new(source: &mut World, index: &Index, id: AccountId) -> Result<Leaving, String> {
        let mut departure = Departure::new(id);
        let mut pieces = Vec::new();
        while let Some(piece) = departure.next(index) {
            match piece {
                Arrival::Messages { mailbox, messages } => {
                    let parts = messages.chunks(PIECE_MESSAGES);
                    pieces.extend(parts.map(|part| Arrival::Messages { mailbox, messages: part.to_vec() }));
                }
                piece => pieces.push(piece),
            }
        }
        let last = pieces.pop().ok_or("an account without pieces")?;
        let mut removed: Vec<_> = index.all_buried().filter(|buried| buried.account == id).collect();
        for buried in &mut removed {
            buried.message.known_as = buried.message.email(index.shard());
        }
        pieces.extend(removed.chunks(PIECE_MESSAGES).map(|part| Arrival::Removed(part.to_vec())));
        let gone = index.buried_mailboxes().filter(|gone| gone.account == id);
        pieces.extend(gone.map(|gone| Arrival::RemovedMailbox(Box::new(gone.clone()))));
        pieces.push(last);
        let address = source.store.account(id).ok_or("it is not there")?.address().to_owned();
        let fingerprint = index.fingerprint(id).ok_or("it cannot be read")?;
        let shown = shown::account(&source.store, id);
        let removed = shown::removed(&source.store, id);
        Ok(Leaving { id, address, pieces, fingerprint, shown, removed, arrived: false })
    }
}

impl World {
    /// Accounts of a store of that shard are going to come.
    pub fn expect_arrivals(&mut self, number: u64, shard: ShardId) -> Result<(), String> {
        let arrivals = Arrivals::new(number, shard)?;
        arrivals.leaving.iter().for_each(|leaving| self.model.expect(&arrivals.source.model, leaving.id));
        self.arrivals = Some(arrivals);
        if shard == HOME {
            // No account that is made here gets the id of one that may come home.
            let inherit = Inheritance { next_account: 2 * AWAY_ACCOUNT, uid_validity_floor: 0 };
            self.ask(AccountId(0), Change::Inherit(inherit));
            self.drain()?;
        }
        Ok(())
    }

    /// Whoever sends has a turn.
    pub fn send(&mut self) {
        if let Some(mut arrivals) = self.arrivals.take() {
            arrivals.turn(self);
            self.arrivals = Some(arrivals);
        }
    }

    /// With nothing failing any more: most accounts come to their end, some stay on their way for ever.
    pub fn end_arrivals(&mut self) -> Result<(), String> {
        let stays = self.arrivals.as_mut().is_none_or(|arrivals| arrivals.seed.one_in(3));
        if stays {
            return Ok(());
        }
        for _ in 0..TURNS_MAX {
            self.send();
            self.drain()?;
            let arrivals = self.arrivals.as_ref().ok_or("nobody sends")?;
            let taken = |leaving: &Leaving| self.store.account_by_address(&leaving.address).is_some();
            if arrivals.sender.is_none() && arrivals.leaving.iter().all(|left| left.arrived || taken(left)) {
                return self.check_verify();
            }
        }
        Err("an account never arrives".to_owned())
    }

    /// A piece came to its end.
    pub fn on_piece(&mut self, applied: &Applied, piece: &Arrival) -> Result<(), String> {
        let Some(mut arrivals) = self.arrivals.take() else { return Err("nobody sends".to_owned()) };
        let told = arrivals.on_piece(self, applied, piece);
        self.arrivals = Some(arrivals);
        told.map_err(|why| format!("{} of account {}: {why}", piece.name(), applied.account))
    }

    /// What has come to its end is looked at, before anybody can change it.
    pub fn look_at_arrivals(&mut self) -> Result<(), String> {
        if self.store.is_behind() {
            return Ok(());
        }
        let Some(mut arrivals) = self.arrivals.take() else { return Ok(()) };
        let looked = std::mem::take(&mut arrivals.due).into_iter().try_for_each(|due| match due {
            Due::Arrived(which) => self.look_at_arrived(&arrivals.leaving[which]),
            Due::Dropped(id) => self.look_at_dropped(id),
        });
        self.arrivals = Some(arrivals);
        looked
    }

    fn look_at_arrived(&mut self, leaving: &Leaving) -> Result<(), String> {
        let told = |what: String| format!("account {} arrived: {what}", leaving.id);
        let (expected, found) = (&leaving.shown, shown::account(&self.store, leaving.id));
        let differs = (0..expected.len().max(found.len())).find(|&nth| expected.get(nth) != found.get(nth));
        if let Some(nth) = differs {
            return Err(told(format!("{:?} instead of {:?}", found.get(nth), expected.get(nth))));
        }
        // What was removed long ago may be gone meanwhile: the model knows.
        let removed = shown::removed(&self.store, leaving.id);
        if let Some(other) = removed.difference(&leaving.removed).next() {
            return Err(told(format!("{other} is not one of {:?}", leaving.removed)));
        }
        let durable = Some(self.store.durable());
        let replayed = recover_read_only(&mut self.disk, Some(self.swarm.shard), durable);
        let fingerprint = replayed.map_err(|error| told(error.to_string()))?.index.fingerprint(leaving.id);
        if fingerprint != Some(leaving.fingerprint) {
            return Err(told(format!("fingerprint {fingerprint:x?} instead of {:x}", leaving.fingerprint)));
        }
        self.model.compare(&self.store, None).map_err(told)
    }

    /// Nothing is counted that nobody can see.
    fn look_at_dropped(&mut self, id: AccountId) -> Result<(), String> {
        let (mut accounts, mut messages, mut bodies) = (0, 0, BTreeMap::new());
        for account in self.store.accounts_after("") {
            accounts += 1;
            for mailbox in account.mailboxes() {
                messages += mailbox.len() as u64;
                let shown = (0..mailbox.len()).map(|place| mailbox.message(place));
                bodies.extend(shown.map(|message| (message.body, u64::from(message.size))));
            }
        }
        let removed = self.store.buried_from(0, usize::MAX).0.map(|buried| buried.message);
        bodies.extend(removed.map(|message| (message.body, u64::from(message.size))));
        let stats = self.store.stats();
        let found = (stats.accounts, stats.messages, stats.body_bytes);
        let expected = (accounts, messages, bodies.values().sum::<u64>());
        match found == expected && shown::removed(&self.store, id).is_empty() {
            true => self.model.compare(&self.store, None),
            false => Err(format!(
                "account {id} was dropped: {found:?} accounts, messages and octets instead of {expected:?}"
            )),
        }
    }

    /// The store was started anew: what was not acknowledged is gone.
    pub fn arrivals_cut(&mut self) -> Result<(), String> {
        let Some(mut arrivals) = self.arrivals.take() else { return Ok(()) };
        if let Some(sender) = &mut arrivals.sender {
            self.tally.count(Kind::ArrivalCut);
            let lost = sender.waiting.values().flatten().min();
            sender.next = lost.copied().unwrap_or(sender.next);
            sender.waiting.clear();
            sender.copied.retain(|_, to| self.store.fresh_body(*to).is_some());
            // Some begin again, the others go on where they were.
            sender.is_spoiled |= arrivals.seed.one_in(2);
            let leaving = &arrivals.leaving[sender.leaving];
            leaving.is_hidden(self)?;
        }
        self.arrivals = Some(arrivals);
        Ok(())
    }
}

impl Leaving {
    fn is_hidden(&self, world: &World) -> Result<(), String> {
        let store = &world.store;
        let named = ["anyone", "u1@example.test", "-u2@example.test"];
        let seen = store.account(self.id).is_some()
            || store.account_by_address(&self.address) == Some(self.id)
            || store.accounts_after("").any(|account| account.id() == self.id)
            || !shown::removed(store, self.id).is_empty()
            || named.iter().any(|who| store.accounts_sharing_with(who).any(|id| id == self.id));
        if seen { Err(format!("account {} is seen on its way", self.id)) } else { Ok(()) }
    }
}

impl Arrivals {
    fn turn(&mut self, world: &mut World) {
        let Some(mut sender) = self.sender.take().or_else(|| self.begin(world)) else { return };
        let id = self.leaving[sender.leaving].id;
        if sender.is_spoiled || sender.done > 0 && self.seed.one_in(60) {
            sender.is_spoiled = true;
            if sender.waiting.is_empty()
                && let Some(lsn) = world.ask(id, Change::Arrive(Arrival::Dropped))
            {
                sender.waiting.insert(lsn, None);
            }
            self.sender = Some(sender);
            return;
        }
        for _ in 0..=self.seed.below(4) {
            let pieces = &self.leaving[sender.leaving].pieces;
            let is_last = sender.next + 1 == pieces.len();
            let Some(piece) = pieces.get(sender.next).filter(|_| !is_last || sender.waiting.is_empty())
            else {
                break;
            };
            let piece = piece.clone();
            let Some(piece) = with_bodies(world, &self.source, &mut sender.copied, id, piece) else { break };
            let Some(lsn) = world.ask(id, Change::Arrive(piece)) else { break };
            sender.waiting.insert(lsn, Some(sender.next));
            sender.next += 1;
        }
        self.sender = Some(sender);
    }

    /// The next account to leave.
    fn begin(&mut self, world: &World) -> Option<Sender> {
        let store = &world.store;
        for leaving in self.leaving.iter_mut().filter(|leaving| leaving.arrived) {
            // One that came and was deleted comes again, when nothing is left of it. Not where rot may bring back what
            // was left: two lives of one id would lie together.
            let is_left = !shown::removed(store, leaving.id).is_empty();
            leaving.arrived = store.account(leaving.id).is_some() || is_left || world.swarm.rot;
        }
        let tries_all = self.seed.one_in(16);
        let may = |leaving: &Leaving| tries_all || store.account_by_address(&leaving.address).is_none();
        let leaving = self.leaving.iter().position(|leaving| !leaving.arrived && may(leaving))?;
        let (waiting, copied) = Default::default();
        Some(Sender { leaving, next: 0, waiting, done: 0, copied, is_spoiled: false })
    }

    fn on_piece(&mut self, world: &mut World, applied: &Applied, piece: &Arrival) -> Result<(), String> {
        let sender = self.sender.as_mut().ok_or("nobody sends it")?;
        sender.waiting.remove(&applied.lsn).ok_or("nobody sent it")?;
        let leaving = &mut self.leaving[sender.leaving];
        match (piece, &applied.outcome) {
            (Arrival::Dropped, Outcome::Refused(Refusal::DiskFull)) => {}
            // Its first piece may have been refused.
            (Arrival::Dropped, Outcome::Refused(Refusal::NoAccount)) if sender.done == 0 => {
                self.sender = None
            }
            (Arrival::Dropped, Outcome::Done) => {
                world.tally.count(Kind::ArrivalDropped);
                self.due.push(Due::Dropped(leaving.id));
                self.sender = None;
            }
            (Arrival::Done { .. }, Outcome::AccountCreated(_)) => {
                let is_ours = leaving.id == AccountId::new(HOME, leaving.id.counter());
                world.tally.count(if is_ours { Kind::CameHome } else { Kind::Arrived });
                leaving.arrived = true;
                self.due.push(Due::Arrived(sender.leaving));
                self.sender = None;
            }
            (Arrival::Done { .. }, Outcome::Refused(Refusal::Exists)) => {
                // By the model: in the store whoever had it may be gone again, by the next change of the batch.
                let taken = world.model.has_address(&leaving.address);
                sender.is_spoiled = true;
                return taken.then_some(()).ok_or("its address is free".to_owned());
            }
            // What it waited with for room may have gone with its bodies.
            (_, Outcome::Refused(Refusal::DiskFull)) => sender.is_spoiled = true,
            (_, Outcome::Refused(Refusal::NoBody)) if world.swarm.small_disk => sender.is_spoiled = true,
            // A Reap came in between: what was removed long ago goes at once, and its body with it.
            (Arrival::Removed(_), Outcome::Refused(Refusal::NoBody)) if world.swarm.undelete_ms < 1_000 => {
                sender.is_spoiled = true;
            }
            (_, Outcome::Refused(_)) if sender.is_spoiled => {}
            (_, Outcome::Done) => {
                world.tally.count(Kind::Piece);
                sender.done += 1;
                return leaving.is_hidden(world);
            }
            (_, outcome) => return Err(format!("{outcome:?}, though nothing is missing")),
        }
        Ok(())
    }
}

/// The piece with bodies of this log. None: there is no room for them.
fn with_bodies(
    world: &mut World,
    source: &World,
    copied: &mut BTreeMap<BodyId, BodyId>,
    account: AccountId,
    mut piece: Arrival,
) -> Option<Arrival> {
    let durable = world.store.durable();
    copied.retain(|_, to| to.0 >= durable.0 || world.store.fresh_body(*to).is_some());
    let mut bring = |message: &mut Message| {
        message.body = match copied.get(&message.body) {
            Some(body) => *body,
            None => *copied.entry(message.body).or_insert(copy(world, source, account, message.key())?),
        };
        Some(())
    };
    match &mut piece {
        Arrival::Messages { messages, .. } => {
            messages.iter_mut().try_for_each(|moved| bring(&mut moved.message))?;
        }
        Arrival::Removed(removed) => removed.iter_mut().try_for_each(|buried| bring(&mut buried.message))?,
        _ => {}
    }
    Some(piece)
}

fn copy(world: &mut World, source: &World, account: AccountId, key: BodyKey) -> Option<BodyId> {
    let found = source.store.body(key).expect("where it comes from nothing fails");
    let octets = source.store.bytes(found.bytes).expect("where it comes from nothing fails");
    let summary = source.store.bytes(found.summary).expect("where it comes from nothing fails");
    world.store.append_body(account, NewBody { parts: vec![octets], summary }, world.now).ok()
}
