//! What shards send each other.
//!
//! *Owns*: one bounded ring into each shard, its bell, and the parcels that found it full. *Promises*:
//! parcels of one sender arrive in order, once; nobody waits and nothing is dropped in silence; a sleeping
//! shard is woken.
//! *Assumes*: one thread takes from an inbox. The ring's protocol is model-checked in `sys::ring_model`.
//! *Never*: looks into a parcel but to refuse it.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use ringpost_engine::ids::ShardId;

use super::pump::Layers;
use super::ring;
use crate::limits::{INBOX_MESSAGES_MAX, OUTBOX_MESSAGES_MAX};
use crate::proto::Delivered;
use crate::shard::event::{ConnId, Found, Message, Ticket};
use crate::shard::session::MovedSession;
use crate::sys::process::{event_counter, event_signal};
use crate::sys::request::{self, Descriptor};
use crate::sys::ring::{Pushed, Ring};

/// What travels between threads.
pub enum Parcel {
    /// A message of the shards' own.
    Peer {
        /// From whom.
        from: ShardId,
        /// What.
        message: Message,
    },
    /// A connection that moves; no operation on its socket is under way.
    Moved(Box<Moved>),
    /// A password was checked.
    Verified {
        /// Which.
        ticket: Ticket,
        /// How.
        good: bool,
    },
    /// Stop accepting and drain.
    Drain,
    /// Every shard knows what it needs: open the listeners.
    Open,
    /// Every shard has drained: end.
    End,
}

/// A connection on the move.
pub struct Moved {
    /// Whose.
    pub conn: ConnId,
    /// Its socket.
    pub socket: Descriptor,
    /// What lies between its socket and its session.
    pub layers: Layers,
    /// Its session.
    pub session: Box<MovedSession>,
}

/// The way into one shard; clones lead to the same.
#[derive(Clone)]
pub struct Inbox {
    ring: Arc<Ring<Parcel>>,
    bell: Descriptor,
}

impl Inbox {
    /// An empty inbox.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn new() -> std::io::Result<Inbox> {
        let bell: OwnedFd = event_counter()?;
        Ok(Inbox { ring: Arc::new(Ring::new(INBOX_MESSAGES_MAX)), bell: Arc::new(bell) })
    }

    /// Puts a parcel in and wakes the shard if it sleeps.
    ///
    /// # Errors
    /// It is full: the parcel again.
    pub fn put(&self, parcel: Box<Parcel>) -> Result<(), Box<Parcel>> {
        match self.ring.push(parcel) {
            Pushed::In => Ok(()),
            Pushed::Wake => {
                // The only possible failure is a counter near 2^64.
                event_signal(&self.bell).map_err(|error| unreachable!("the bell does not ring: {error}"))
            }
            Pushed::Full(parcel) => Err(parcel),
        }
    }

    /// Puts a parcel in, however long that takes. Not for shards.
    pub fn put_patiently(&self, parcel: Parcel) {
        let mut parcel = Box::new(parcel);
        while let Err(again) = self.put(parcel) {
            parcel = again;
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// The next parcel, if there is one. Owner only.
    pub fn take(&self) -> Option<Box<Parcel>> {
        self.ring.pop()
    }

    /// The next parcel. Owner only.
    pub async fn next(&self) -> Box<Parcel> {
        loop {
            if let Some(parcel) = self.take() {
                return parcel;
            }
            self.ring.fall_asleep();
            if let Some(parcel) = self.take() {
                return parcel;
            }
            let rung = ring::submit(request::read(&self.bell, vec![0; 8].into_boxed_slice(), 0)).await;
            if let Err(error) = rung.result
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                unreachable!("a bell that cannot be read: {error}");
            }
        }
    }
}

/// Parcels on their way from one shard to all others.
pub struct Outbox {
    ways: Vec<Way>,
}

struct Way {
    inbox: Inbox,
    waiting: VecDeque<Box<Parcel>>,
}

impl Outbox {
    /// Ways to all shards, by number.
    pub fn new(inboxes: &[Inbox]) -> Outbox {
        let way = |inbox: &Inbox| Way { inbox: inbox.clone(), waiting: VecDeque::new() };
        Outbox { ways: inboxes.iter().map(way).collect() }
    }

    /// Sends a parcel, or keeps it for [`Outbox::retry`].
    ///
    /// # Errors
    /// `OUTBOX_MESSAGES_MAX` wait already and this one asks for something: it comes back to be refused.
    /// Answers are always kept: there are no more of them than others' questions, which are bounded at the
    /// asker.
    pub fn send(&mut self, to: ShardId, parcel: Parcel) -> Result<(), Box<Parcel>> {
        let parcel = Box::new(parcel);
        let Some(way) = self.ways.get_mut(usize::from(to.0)) else { return Err(parcel) };
        if !way.waiting.is_empty() {
            if way.waiting.len() >= OUTBOX_MESSAGES_MAX && asks(&parcel) {
                return Err(parcel);
            }
            way.waiting.push_back(parcel);
            return Ok(());
        }
        if let Err(parcel) = way.inbox.put(parcel) {
            way.waiting.push_back(parcel);
        }
        Ok(())
    }

    /// Tries again what found an inbox full. Says whether anything still waits.
    pub fn retry(&mut self) -> bool {
        let mut waits = false;
        for way in &mut self.ways {
            while let Some(parcel) = way.waiting.pop_front() {
                if let Err(parcel) = way.inbox.put(parcel) {
                    way.waiting.push_front(parcel);
                    waits = true;
                    break;
                }
            }
        }
        waits
    }
}

/// Whether a parcel asks for something (and can be refused) or answers.
fn asks(parcel: &Parcel) -> bool {
    match parcel {
        Parcel::Moved(_) => true,
        Parcel::Peer { message, .. } => refusal(message).is_some(),
        Parcel::Verified { .. } | Parcel::Drain | Parcel::Open | Parcel::End => false,
    }
}

/// What the asker gets when its question cannot leave; none where the message is no question.
pub fn refusal(message: &Message) -> Option<Message> {
    match message {
        Message::Lookup { ticket, .. } => Some(Message::Found { ticket: *ticket, found: Found::Unavailable }),
        Message::Authenticate { ticket, .. } => Some(Message::Authenticated { ticket: *ticket, good: None }),
        Message::Deliver { ticket, accounts, .. } => Some(Message::Delivered {
            ticket: *ticket,
            results: vec![(Delivered::TryLater { disk_full: false }, 0); accounts.len()],
        }),
        Message::Claim(claim) => Some(Message::Claimed {
            slot: claim.slot,
            epoch: claim.epoch,
            refused: Some("the shard is too busy: try again".to_owned()),
        }),
        Message::Found { .. }
        | Message::Slots(_)
        | Message::Claimed { .. }
        | Message::Authenticated { .. }
        | Message::Delivered { .. }
        | Message::Domains(_)
        | Message::AccountGone(_)
        | Message::Admin { .. }
        | Message::AdminReply { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(number: u64) -> Parcel {
        let message = Message::Lookup { ticket: Ticket(number), address: "a@example.test".to_owned() };
        Parcel::Peer { from: ShardId(1), message }
    }

    fn number(parcel: &Parcel) -> Option<u64> {
        match parcel {
            Parcel::Peer { message: Message::Lookup { ticket, .. }, .. } => Some(ticket.0),
            _ => None,
        }
    }

    #[test]
    fn a_full_inbox_keeps_order_and_refuses_at_the_bound_only() {
        let inbox = Inbox::new().expect("a bell");
        let mut outbox = Outbox::new(std::slice::from_ref(&inbox));
        let all = (INBOX_MESSAGES_MAX + OUTBOX_MESSAGES_MAX) as u64;
        for ticket in 0..all {
            assert!(outbox.send(ShardId(0), lookup(ticket)).is_ok());
        }
        let refused = outbox.send(ShardId(0), lookup(all)).expect_err("beyond the bound");
        assert_eq!(number(&refused), Some(all));
        let answer = Message::Found { ticket: Ticket(7), found: Found::Unknown };
        assert!(outbox.send(ShardId(0), Parcel::Peer { from: ShardId(1), message: answer }).is_ok());
        assert!(outbox.retry());
        let mut next = 0;
        while next < all {
            let parcel = inbox.take().expect("nothing is lost");
            assert_eq!(number(&parcel), Some(next));
            next += 1;
            outbox.retry();
        }
        assert!(inbox.take().is_some_and(|parcel| number(&parcel).is_none()));
        assert!(!outbox.retry());
    }

    #[test]
    fn a_sleeper_is_woken_from_another_thread() {
        let inbox = Inbox::new().expect("a bell");
        let sender = inbox.clone();
        let thread = std::thread::spawn(move || {
            for ticket in 0..1000 {
                sender.put_patiently(lookup(ticket));
            }
        });
        let taken = ring::run(async {
            for ticket in 0..1000 {
                assert_eq!(number(&*inbox.next().await), Some(ticket));
            }
        });
        assert!(taken.is_ok());
        thread.join().expect("the sender");
    }
}
