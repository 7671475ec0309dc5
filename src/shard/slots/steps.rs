//! What moving a slot asks, step by step.
//!
//! *Owns*: the answers. *Promises*: a step looks at `limits::SLOT_LOOKS_MAX` addresses, at one piece of an
//! account or at a
//! piece of a body. *Assumes*: an account is held while it is told in pieces. *Never*: keeps anything between
//! two steps.

use ringpost_engine::arrival::{Arrival, Inheritance};
use ringpost_engine::change::{Change, NewBody};
use ringpost_engine::ids::{AccountId, BodyKey, Lsn, MailboxId, Now, ShardId, Slot, Uid};
use ringpost_engine::limits::ARRIVAL_MESSAGES_MAX;

use crate::limits::{SLOT_LOOKS_MAX, SLOT_OCTETS_MAX};
use crate::shard::Shard;
use crate::shard::admin::AdminReply;
use crate::shard::admin::slot::{SlotReply, SlotStep};
use crate::shard::desk::{Kind, refused_words};
use crate::shard::event::{Message, Ticket};

impl Shard {
    pub(in crate::shard) fn on_slot_step(&mut self, from: ShardId, ticket: Ticket, step: SlotStep) {
        let reply = match step {
            SlotStep::Table => Ok(SlotReply::Table(self.owners.seats().collect())),
            SlotStep::Accounts { slot, after } => self.slot_accounts(slot, &after),
            SlotStep::Aliases { slot, after } => Ok(self.slot_aliases(slot, &after)),
            SlotStep::Gone { slot, from } => {
                let (rows, next) = self.store.buried_mailboxes_from(from, SLOT_LOOKS_MAX);
                let ours = rows.filter(|row| Slot::of(&row.address) == slot).cloned().collect();
                Ok(SlotReply::Gone(ours, next))
            }
            SlotStep::Bodies { account, from } => Ok(self.bodies_of(account, from)),
            SlotStep::Removed { from } => {
                let shard = self.id;
                let (rows, next) = self.store.buried_from(from, SLOT_LOOKS_MAX);
                let known = rows.map(|mut row| {
                    row.message.known_as = row.message.email(shard);
                    row
                });
                Ok(SlotReply::Removed(known.collect(), next))
            }
            SlotStep::Octets { key, skip } => self.octets_of(key, skip),
            SlotStep::Close { slot, to } => self.close_slot(slot, to).map(|()| SlotReply::Closed {
                seat: self.owners.seat(slot),
                inherit: self.store.inheritance(),
                time_ms: self.store.last_time_ms(),
            }),
            SlotStep::Hold { accounts } => return self.hold_slot((from, ticket), accounts),
            SlotStep::Piece(mut departure) => {
                let piece = self.store.depart(&mut departure);
                Ok(SlotReply::Piece(piece, departure))
            }
            SlotStep::Hand(claim) => return self.hand_slot((from, ticket), *claim),
            SlotStep::Open => {
                self.open_slot();
                return self.tell(from, Message::AdminReply { ticket, reply: AdminReply::Done });
            }
            SlotStep::Expect => return self.expect_slot(from, ticket),
            SlotStep::Bring { account, bodies } => self.bring(account, bodies),
            SlotStep::Take { pieces, inherit, time_ms } => {
                return self.take_pieces(from, ticket, pieces, inherit, time_ms);
            }
        };
        let reply = reply.map_or_else(AdminReply::Refused, AdminReply::Slot);
        self.tell(from, Message::AdminReply { ticket, reply });
    }

    fn slot_accounts(&self, slot: Slot, after: &str) -> Result<SlotReply, String> {
        let page: Vec<(&str, AccountId)> = self.store.addresses_after(after).take(SLOT_LOOKS_MAX).collect();
        let next =
            (page.len() == SLOT_LOOKS_MAX).then(|| page.last().map(|(address, _)| (*address).to_owned()));
        let ours: Vec<(&str, AccountId)> =
            page.into_iter().filter(|(address, _)| Slot::of(address) == slot).collect();
        match ours.iter().find(|(address, _)| self.store.is_quarantined(address)) {
            Some((address, _)) => Err(format!("{address} is quarantined: see ringpost damage")),
            None => Ok(SlotReply::Accounts(ours.into_iter().map(|(_, id)| id).collect(), next.flatten())),
        }
    }

    fn slot_aliases(&self, slot: Slot, after: &str) -> SlotReply {
        let page: Vec<(&str, &[String])> = self.store.aliases_after(after).take(SLOT_LOOKS_MAX).collect();
        let next =
            (page.len() == SLOT_LOOKS_MAX).then(|| page.last().map(|(address, _)| (*address).to_owned()));
        let ours = page.into_iter().filter(|(address, _)| Slot::of(address) == slot);
        let ours = ours.map(|(address, targets)| (address.to_owned(), targets.to_vec()));
        SlotReply::Aliases(ours.collect(), next.flatten())
    }

    /// Bodies of the messages of one mailbox from a UID on, or of the next one.
    fn bodies_of(&self, account: AccountId, (mailbox, uid): (MailboxId, Uid)) -> SlotReply {
        let mailboxes = self.store.account(account).into_iter().flat_map(|account| account.mailboxes());
        let Some(held) = mailboxes.filter(|held| held.id() >= mailbox).min_by_key(|held| held.id()) else {
            return SlotReply::Bodies(Vec::new(), None);
        };
        let first = if held.id() == mailbox { held.rank(uid) } else { 0 };
        let last = held.len().min(first + ARRIVAL_MESSAGES_MAX);
        let keys = (first..last).map(|place| held.message(place).key()).collect();
        let next = match last < held.len() {
            true => (held.id(), held.message(last).uid),
            false => (MailboxId(held.id().0.saturating_add(1)), Uid(0)),
        };
        SlotReply::Bodies(keys, Some(next))
    }

    fn octets_of(&self, key: BodyKey, skip: u32) -> Result<SlotReply, String> {
        let damaged = || format!("the message at {} is damaged: see ringpost damage", key.id);
        let body = self.store.body(key).ok_or_else(damaged)?;
        let summary = self.store.bytes(body.summary).ok_or_else(damaged)?;
        let wanted = match body.bytes.as_sent() {
            // A slice of a view: nothing is looked at here.
            Some(_) => body.bytes.slice(skip, u32::MAX),
            None => body.bytes.slice(skip, SLOT_OCTETS_MAX),
        };
        let octets = self.store.bytes(wanted).ok_or_else(damaged)?;
        Ok(SlotReply::Octets { summary, octets })
    }

    /// Lets go what came before and was not claimed.
    fn expect_slot(&mut self, from: ShardId, ticket: Ticket) {
        if self.slots.sweep.is_some() {
            let reply = AdminReply::Refused("what an earlier slot left is still being removed".to_owned());
            return self.tell(from, Message::AdminReply { ticket, reply });
        }
        let strays: Vec<AccountId> = self.store.arriving().collect();
        let appended = strays.into_iter().map(|id| self.admin_append(id, Change::AccountLeave)).collect();
        self.start(from, ticket, Kind::All, appended);
    }

    fn bring(&mut self, account: AccountId, bodies: Vec<NewBody>) -> Result<SlotReply, String> {
        let now = self.now;
        let brought = bodies.into_iter().map(|body| self.store.append_body(account, body, now));
        brought.collect::<Result<_, _>>().map(SlotReply::Brought).map_err(refused_words)
    }

    fn take_pieces(
        &mut self,
        from: ShardId,
        ticket: Ticket,
        pieces: Vec<(AccountId, Arrival)>,
        inherit: Option<Inheritance>,
        time_ms: u64,
    ) {
        // What was removed lies in order of time, whatever the clocks say.
        let now = Now { unix_ms: self.now.unix_ms.max(time_ms), ..self.now };
        let inherit = inherit.map(|inherit| (AccountId::default(), Change::Inherit(inherit)));
        let pieces = pieces.into_iter().map(|(account, piece)| (account, Change::Arrive(piece)));
        let appended: Vec<Result<Lsn, String>> = inherit
            .into_iter()
            .chain(pieces)
            .map(|(account, change)| self.store.append(account, change, now).map_err(refused_words))
            .collect();
        self.start(from, ticket, Kind::All, appended);
    }
}
