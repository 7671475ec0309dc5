//! A message on its way to mailboxes of one or many shards.
//!
//! *Owns*: deliveries of this shard's sessions, and the parts of deliveries that this shard stores.
//! *Promises*: a body is stored once per shard; the session hears one result per recipient when every shard
//! has committed or said no; one log line per delivery. *Assumes*: recipients were resolved by `directory`.
//! *Never*: answers a session before the commit.
//!
//! ```text
//!  Deliver ─► by owner ─┬─ own part ─► append_body, append × accounts ─► commits ─┐
//!                       └─ Message::Deliver ─► (the same there) ─► Delivered ─────┴─► results
//! ```
//! The results go to the session and into the log line.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ringpost_engine::change::{Change, Flags, NewBody, Outcome, Refusal};
use ringpost_engine::error::Refused;
use ringpost_engine::ids::{BodyId, Lsn, ShardId};

use crate::limits::PEER_DELIVER_MS;
use crate::log::{Level, Line};
use crate::proto::{Delivered, Delivery, DeliveryRecipient, Reply};
use crate::shard::Shard;
use crate::shard::commit::Waiter;
use crate::shard::event::{ConnId, Effect, Message, Ticket};
use crate::shard::flow::Wake;
use crate::shard::slots::WaitingPart;

/// Names a part on the shard that stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PartId(u64);

/// What is under way. Tickets grow and all deliveries have the same time, so the oldest expires first.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    pending: BTreeMap<Ticket, Pending>,
    parts: BTreeMap<PartId, Part>,
    last_part: u64,
}

impl Deliveries {
    /// Deliveries of our sessions and parts of others' under way.
    pub fn under_way(&self) -> usize {
        self.pending.len() + self.parts.len()
    }
}

/// A delivery of one of our sessions.
#[derive(Debug)]
struct Pending {
    conn: ConnId,
    until_ms: u64,
    delivery: Delivery,
    bytes: usize,
    /// Shards that have not answered, with the accounts they were given.
    asked: BTreeMap<ShardId, Vec<String>>,
    /// How it ended, by account.
    ended: BTreeMap<String, Delivered>,
    /// Log positions: `shard:lsn`.
    positions: Vec<String>,
}

/// The accounts of one delivery that this shard owns.
#[derive(Debug)]
struct Part {
    /// Whose: another shard's, or our own.
    from: ShardId,
    ticket: Ticket,
    results: Vec<Option<(Delivered, u64)>>,
    open: usize,
}

impl Shard {
    pub(super) fn deliver(&mut self, conn: ConnId, mut delivery: Delivery) {
        self.counters.deliveries += 1;
        let parts = std::mem::take(&mut delivery.parts);
        let summary = std::mem::take(&mut delivery.summary);
        let accounts: BTreeSet<&String> =
            delivery.recipients.iter().flat_map(|recipient| &recipient.accounts).collect();
        let mut asked: BTreeMap<ShardId, Vec<String>> = BTreeMap::new();
        for account in accounts {
            asked.entry(self.owner(account)).or_default().push(account.clone());
        }
        let (ticket, internal_ms) = (self.ticket(), delivery.internal_ms);
        let shares: Vec<(ShardId, Vec<String>)> =
            asked.iter().map(|(to, list)| (*to, list.clone())).collect();
        let pending = Pending {
            conn,
            until_ms: self.now.mono_ms + PEER_DELIVER_MS,
            bytes: parts.iter().map(Bytes::len).sum(),
            delivery,
            asked,
            ended: BTreeMap::new(),
            positions: Vec::new(),
        };
        self.deliveries.pending.insert(ticket, pending);
        for (to, accounts) in shares {
            let (parts, summary) = (parts.clone(), summary.clone());
            if to == self.id {
                self.store_part(to, ticket, parts, summary, accounts, internal_ms);
            } else {
                self.tell(to, Message::Deliver { ticket, parts, summary, accounts, internal_ms });
            }
        }
        self.finish_delivery(ticket);
    }

    /// Appends the body once and one change per account; answers `from` when all of them are decided.
    pub(super) fn store_part(
        &mut self,
        from: ShardId,
        ticket: Ticket,
        parts: Vec<Bytes>,
        summary: Bytes,
        accounts: Vec<String>,
        internal_ms: u64,
    ) {
        if accounts.iter().any(|address| self.is_still(address)) {
            let part = WaitingPart { from, ticket, parts, summary, accounts, internal_ms };
            match self.slots.park(part) {
                Ok(()) => return,
                // Too many wait: those that are held are told to be tried later.
                Err(WaitingPart { parts, summary, accounts, .. }) => {
                    return self.store_now(from, ticket, parts, summary, accounts, internal_ms);
                }
            }
        }
        self.store_now(from, ticket, parts, summary, accounts, internal_ms);
    }

    pub(super) fn store_now(
        &mut self,
        from: ShardId,
        ticket: Ticket,
        parts: Vec<Bytes>,
        summary: Bytes,
        accounts: Vec<String>,
        internal_ms: u64,
    ) {
        self.deliveries.last_part += 1;
        let id = PartId(self.deliveries.last_part);
        let mut new_body = Some(NewBody { parts, summary });
        let mut body = None;
        let mut results = Vec::with_capacity(accounts.len());
        for (index, address) in accounts.iter().enumerate() {
            match self.store_one(address, &mut new_body, &mut body, internal_ms) {
                Ok(lsn) => {
                    self.commits.insert(lsn, Waiter::Part(id, index));
                    results.push(None);
                }
                Err(refused) => results.push(Some((refused, 0))),
            }
        }
        let open = results.iter().filter(|result| result.is_none()).count();
        self.deliveries.parts.insert(id, Part { from, ticket, results, open });
        self.finish_part(id);
    }

    fn store_one(
        &mut self,
        address: &str,
        new_body: &mut Option<NewBody>,
        body: &mut Option<BodyId>,
        internal_ms: u64,
    ) -> Result<Lsn, Delivered> {
        if self.owner(address) != self.id || self.store.is_quarantined(address) {
            return Err(Delivered::TryLater { disk_full: false });
        }
        let id = self.store.account_by_address(address).ok_or(Delivered::Unknown)?;
        let mailbox = self.store.account(id).ok_or(Delivered::Unknown)?.inbox().id();
        let body = match (*body, new_body.take()) {
            (Some(body), _) => body,
            (None, Some(new)) => *body.insert(self.store.append_body(id, new, self.now).map_err(refusal)?),
            // The first account's append was refused, so is every other's.
            (None, None) => return Err(Delivered::TryLater { disk_full: self.store.stats().disk_full }),
        };
        let change = Change::Deliver { mailbox, body, flags: Flags::default(), internal_ms };
        self.store.append(id, change, self.now).map_err(refusal)
    }

    pub(super) fn part_committed(&mut self, id: PartId, index: usize, lsn: Lsn, outcome: Outcome) {
        let Some(part) = self.deliveries.parts.get_mut(&id) else { return };
        let result = match outcome {
            Outcome::Refused(Refusal::NoAccount | Refusal::NoMailbox) => Delivered::Unknown,
            Outcome::Refused(Refusal::OverQuota) => Delivered::OverQuota { others_stored: false },
            Outcome::Refused(refusal) => Delivered::TryLater { disk_full: refusal == Refusal::DiskFull },
            _ => Delivered::Stored,
        };
        if result == Delivered::Stored {
            self.counters.messages_stored += 1;
        }
        part.results[index] = Some((result, lsn.0));
        part.open -= 1;
        self.finish_part(id);
    }

    fn finish_part(&mut self, id: PartId) {
        if self.deliveries.parts.get(&id).is_none_or(|part| part.open > 0) {
            return;
        }
        let Some(part) = self.deliveries.parts.remove(&id) else { return };
        let results = part.results.into_iter().flatten().collect();
        if part.from == self.id {
            self.on_part_done(part.ticket, self.id, results);
        } else {
            self.tell(part.from, Message::Delivered { ticket: part.ticket, results });
        }
    }

    pub(super) fn on_part_done(&mut self, ticket: Ticket, from: ShardId, results: Vec<(Delivered, u64)>) {
        if let Some((asker, asked)) = self.slots.relayed(ticket) {
            return match asker == self.id {
                true => self.on_part_done(asked, asker, results),
                false => self.tell(asker, Message::Delivered { ticket: asked, results }),
            };
        }
        let Some(pending) = self.deliveries.pending.get_mut(&ticket) else { return };
        let Some(accounts) = pending.asked.remove(&from) else { return };
        for (account, (result, lsn)) in accounts.into_iter().zip(results) {
            if result == Delivered::Stored {
                pending.positions.push(format!("{from}:{lsn}"));
            }
            pending.ended.insert(account, result);
        }
        self.finish_delivery(ticket);
    }

    fn finish_delivery(&mut self, ticket: Ticket) {
        if self.deliveries.pending.get(&ticket).is_none_or(|pending| !pending.asked.is_empty()) {
            return;
        }
        if let Some(pending) = self.deliveries.pending.remove(&ticket) {
            self.report(pending);
        }
    }

    pub(super) fn expire_deliveries(&mut self) {
        while let Some(entry) = self.deliveries.pending.first_entry() {
            if entry.get().until_ms > self.now.mono_ms {
                break;
            }
            self.counters.questions_expired += 1;
            // Whoever did not answer has no result: told as "try later". It may yet store the message: then
            // the sender's next try makes a second copy, which is better than none.
            let pending = entry.remove();
            self.report(pending);
        }
    }

    fn report(&mut self, pending: Pending) {
        let results: Vec<Delivered> = pending
            .delivery
            .recipients
            .iter()
            .map(|recipient| recipient_result(recipient, &pending.ended))
            .collect();
        let later =
            |result: &&Delivered| matches!(result, Delivered::TryLater { .. } | Delivered::OverQuota { .. });
        let deferred = results.iter().filter(later).count();
        self.counters.recipients_deferred += deferred as u64;
        self.effects.push_back(Effect::Log(line(&pending, &results)));
        self.wakes.push_back((pending.conn, Wake::Reply(Reply::Delivered(results))));
    }
}

/// One recipient's result from its accounts': durable in all that still exist, or to be tried again.
fn recipient_result(recipient: &DeliveryRecipient, ended: &BTreeMap<String, Delivered>) -> Delivered {
    let (mut result, mut over_quota) = (Delivered::Unknown, false);
    for account in &recipient.accounts {
        match ended.get(account) {
            Some(Delivered::Stored) if result == Delivered::Unknown => result = Delivered::Stored,
            Some(Delivered::Stored | Delivered::Unknown) => {}
            Some(Delivered::OverQuota { .. }) => over_quota = true,
            Some(later @ Delivered::TryLater { .. }) => return later.clone(),
            None => return Delivered::TryLater { disk_full: false },
        }
    }
    if over_quota {
        return Delivered::OverQuota { others_stored: result == Delivered::Stored };
    }
    result
}

fn refusal(refused: Refused) -> Delivered {
    Delivered::TryLater { disk_full: refused == Refused::DiskFull }
}

fn line(pending: &Pending, results: &[Delivered]) -> Line {
    let delivery = &pending.delivery;
    let stored = results.iter().all(|result| *result == Delivered::Stored);
    let recipients: Vec<String> = delivery
        .recipients
        .iter()
        .zip(results)
        .map(|(recipient, result)| {
            let word = match result {
                Delivered::Stored => "stored",
                Delivered::TryLater { disk_full: true } => "disk-full",
                Delivered::TryLater { disk_full: false } => "deferred",
                Delivered::OverQuota { .. } => "over-quota",
                Delivered::Unknown => "unknown",
            };
            format!("{}={word}", recipient.named)
        })
        .collect();
    Line::new(if stored { Level::Info } else { Level::Warn }, "delivery")
        .with("queue_id", delivery.queue_id.clone())
        .with("conn", pending.conn.0.to_string())
        .with("message_id", delivery.message_id.clone())
        .with("sender", delivery.sender.clone())
        .with("recipients", recipients.join(" "))
        .with("bytes", pending.bytes.to_string())
        .with("log", pending.positions.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipient(accounts: &[&str]) -> DeliveryRecipient {
        DeliveryRecipient {
            named: "x@y".to_owned(),
            accounts: accounts.iter().map(|account| (*account).to_owned()).collect(),
        }
    }

    #[test]
    fn a_recipient_is_stored_only_when_all_its_accounts_are() {
        let later = Delivered::TryLater { disk_full: true };
        let ended = BTreeMap::from([
            ("a".to_owned(), Delivered::Stored),
            ("b".to_owned(), Delivered::Unknown),
            ("c".to_owned(), later.clone()),
            ("full".to_owned(), Delivered::OverQuota { others_stored: false }),
        ]);
        let over = |others_stored| Delivered::OverQuota { others_stored };
        assert_eq!(recipient_result(&recipient(&["full"]), &ended), over(false));
        assert_eq!(recipient_result(&recipient(&["b", "full"]), &ended), over(false));
        assert_eq!(recipient_result(&recipient(&["full", "a"]), &ended), over(true));
        assert_eq!(recipient_result(&recipient(&["full", "a", "c"]), &ended), later);
        assert_eq!(recipient_result(&recipient(&["a"]), &ended), Delivered::Stored);
        assert_eq!(recipient_result(&recipient(&["b", "a"]), &ended), Delivered::Stored);
        assert_eq!(recipient_result(&recipient(&["b"]), &ended), Delivered::Unknown);
        assert_eq!(recipient_result(&recipient(&["a", "c"]), &ended), later);
        let silent = Delivered::TryLater { disk_full: false };
        assert_eq!(recipient_result(&recipient(&["a", "silent"]), &ended), silent);
        assert_eq!(recipient_result(&recipient(&[]), &ended), Delivered::Unknown);
    }
}
