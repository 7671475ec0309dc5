//! Speaks to the shards from ordinary threads.
//!
//! *Owns*: the questions of control threads that wait for an answer. *Promises*: each gets one answer, or an
//! error within `CONTROL_MS`. *Assumes*: the caller may block. *Never*: knows what a request means.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ringpost_engine::ids::{ShardId, Slot};
use ringpost_engine::owners::{Owners, Seat};

use crate::limits::{CONTROL_MS, OUTBOX_RETRY_MS};
use crate::runtime::inbox::{Inbox, Parcel};
use crate::shard::admin::{AdminReply, AdminRequest};
use crate::shard::event::{CONTROL, Message, Ticket};

/// Where shards put their answers; clones share it.
#[derive(Clone, Default)]
pub struct Replies(Arc<Waiting>);

#[derive(Default)]
struct Waiting {
    tickets: AtomicU64,
    askers: Mutex<BTreeMap<Ticket, SyncSender<AdminReply>>>,
}

impl Replies {
    /// Hands an answer to whoever still waits for it.
    pub fn answer(&self, ticket: Ticket, reply: AdminReply) {
        let asker = self.askers().remove(&ticket);
        if let Some(asker) = asker {
            // Fails only if the asker has just given up.
            asker.try_send(reply).unwrap_or_default();
        }
    }

    fn askers(&self) -> MutexGuard<'_, BTreeMap<Ticket, SyncSender<AdminReply>>> {
        self.0.askers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handle for control threads; clones lead to the same shards.
#[derive(Clone)]
pub struct Control {
    inboxes: Arc<[Inbox]>,
    replies: Replies,
    owners: Arc<Mutex<Owners>>,
}

impl Control {
    pub(in crate::runtime) fn new(inboxes: Arc<[Inbox]>, replies: Replies) -> Control {
        // Their number came as u16.
        let owners = Owners::new(inboxes.len() as u16);
        Control { inboxes, replies, owners: Arc::new(Mutex::new(owners)) }
    }

    /// Who has a slot, as far as this handle has learnt.
    pub fn owner(&self, slot: Slot) -> ShardId {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner).owner(slot)
    }

    /// Takes in who has which slot.
    pub fn learn(&self, seats: &[(Slot, Seat)]) {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        for (slot, seat) in seats {
            owners.learn(*slot, *seat);
        }
    }

    /// How many shards there are.
    pub fn shards(&self) -> u16 {
        // Their number came as u16.
        self.inboxes.len() as u16
    }

    /// Asks a shard and waits for its answer.
    ///
    /// # Errors
    /// The shard does not exist, is too busy, or did not answer within `limits::CONTROL_MS`.
    pub fn request(&self, to: ShardId, request: AdminRequest) -> Result<AdminReply, String> {
        let deadline = Instant::now() + Duration::from_millis(CONTROL_MS);
        let inbox = self.inboxes.get(usize::from(to.0)).ok_or_else(|| format!("there is no shard {to}"))?;
        let ticket = Ticket(self.replies.0.tickets.fetch_add(1, Ordering::Relaxed));
        let (asker, answer) = sync_channel(1);
        self.replies.askers().insert(ticket, asker);
        let message = Message::Admin { ticket, request };
        let mut parcel = Box::new(Parcel::Peer { from: CONTROL, message });
        while let Err(again) = inbox.put(parcel) {
            if Instant::now() >= deadline {
                self.replies.askers().remove(&ticket);
                return Err(format!("shard {to} is too busy: try again"));
            }
            parcel = again;
            std::thread::sleep(Duration::from_millis(OUTBOX_RETRY_MS));
        }
        answer.recv_timeout(deadline.saturating_duration_since(Instant::now())).map_err(|error| {
            self.replies.askers().remove(&ticket);
            match error {
                RecvTimeoutError::Timeout => format!("shard {to} did not answer in {CONTROL_MS} ms"),
                RecvTimeoutError::Disconnected => format!("shard {to} has stopped"),
            }
        })
    }
}
