//! A stopped server's shards, asked as its administrator asks a running one.
//!
//! *Owns*: the loop between a shard and its files: no socket, no other thread. *Promises*: a request is answered when
//! what it asked for is durable, by the very code that answers it in a server. *Assumes*: the folder's lock is held.
//! *Never*: lets go what was removed: how long that is kept is for the server's configuration to say.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ringpost::admin::restore::ask::{Ask, Each};
use ringpost::admin::wire::{Line, Request};
use ringpost::admin::{Shards, carry_out, import_octets};
use ringpost::config::Config;
use ringpost::runtime::Files;
use ringpost::shard::Shard;
use ringpost::shard::admin::{AdminReply, AdminRequest};
use ringpost::shard::event::{CONTROL, Effect, Event, Message, Ticket};
use ringpost::sys::cpu::Cores;
use ringpost_engine::ids::{Now, ShardId, Slot};
use ringpost_engine::io::Disk;
use ringpost_engine::limits::IDLE_BATCH_MS;
use ringpost_engine::store::{Options, Store};

use super::Folder;
use crate::Failure;

/// Ticks in a row in which a shard that owes an answer may have nothing to do.
const IDLE_TICKS_MAX: u32 = 10;

/// See the module's head.
pub struct Served {
    folder: Folder,
    data: PathBuf,
    began: Instant,
    /// Those that were asked so far.
    shards: Mutex<BTreeMap<ShardId, One>>,
}

struct One {
    shard: Shard,
    files: Files,
    /// Milliseconds that its clock is ahead.
    ahead_ms: u64,
    tickets: u64,
}

impl Served {
    /// All shards of a stopped server.
    pub fn open(data: &Path) -> Result<Served, Failure> {
        let folder = Folder::take(data)?;
        Ok(Served { folder, data: data.to_owned(), began: Instant::now(), shards: Mutex::default() })
    }

    fn begin(&self, id: ShardId) -> Result<One, Failure> {
        let cores = Cores::of_this_thread().map_err(|error| format!("cannot learn the cores: {error}"))?;
        let mut files = Files::new(&self.data, id, cores).map_err(|error| format!("shard {id}: {error}"))?;
        let mut key = [0; 8];
        getrandom::fill(&mut key).map_err(|error| format!("no randomness: {error}"))?;
        let options = Options { undelete_ms: u64::MAX, ..Options::new(id, u64::from_le_bytes(key)) };
        let opened = Store::open(&mut files, options, self.now(0));
        let (store, report) = opened.map_err(|error| format!("shard {id}: {error}"))?;
        if let Some(damage) = report.damage.first() {
            return Err(format!("shard {id}: {damage}; see ringpost-log verify before changing it"));
        }
        let shard = Shard::new(id, self.folder.shards(), store, Config::embedded().server());
        let mut one = One { shard, files, ahead_ms: 0, tickets: 0 };
        // The other shards are not there to say what their logs know.
        let message = Message::Slots(self.folder.owners().seats().collect());
        self.drive(&mut one, Event::Peer { from: CONTROL, message }, None)?;
        Ok(one)
    }

    fn now(&self, ahead_ms: u64) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { unix_ms: unix.as_millis() as u64, mono_ms: self.began.elapsed().as_millis() as u64 + ahead_ms }
    }

    /// Hands an event in and carries out what follows. Returns the answer to a ticket, if it came.
    fn drive(
        &self,
        one: &mut One,
        event: Event,
        ticket: Option<Ticket>,
    ) -> Result<Option<AdminReply>, Failure> {
        let mut answer = None;
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            one.shard.handle(self.now(one.ahead_ms), event);
            while let Some(effect) = one.shard.poll_effect() {
                match effect {
                    Effect::Io { id, request } => {
                        let result = Disk::perform(&mut one.files, &request);
                        events.push_back(Event::Io { id, result });
                    }
                    Effect::Peer { to: CONTROL, message: Message::AdminReply { ticket: of, reply } }
                        if Some(of) == ticket =>
                    {
                        answer = Some(reply);
                    }
                    Effect::Fatal(why) => return Err(why),
                    // There are no clients, no log lines, and nobody has to be told of a change.
                    _ => {}
                }
            }
        }
        Ok(answer)
    }

    /// Closes the window in which the last batch has nobody to vouch for it (README §4.3, C6 of the engine).
    pub fn close(self) -> Result<(), Failure> {
        let mut shards = self.shards.lock().map_err(|error| error.to_string())?;
        for one in shards.values_mut() {
            one.ahead_ms += IDLE_BATCH_MS;
            self.drive(one, Event::Tick, None)?;
        }
        Ok(())
    }
}

impl Shards for Served {
    fn count(&self) -> u16 {
        self.folder.shards()
    }

    fn owner(&self, slot: Slot) -> ShardId {
        self.folder.owners().owner(slot)
    }

    fn request(&self, to: ShardId, request: AdminRequest) -> Result<AdminReply, String> {
        let mut shards = self.shards.lock().map_err(|error| error.to_string())?;
        let one = match shards.entry(to) {
            Entry::Occupied(begun) => begun.into_mut(),
            Entry::Vacant(place) => place.insert(self.begin(to)?),
        };
        one.tickets += 1;
        let ticket = Ticket(one.tickets);
        let asked = Event::Peer { from: CONTROL, message: Message::Admin { ticket, request } };
        let mut answer = self.drive(one, asked, Some(ticket))?;
        for _ in 0..IDLE_TICKS_MAX {
            if answer.is_some() {
                break;
            }
            // A step of upkeep, such as a segment that is tried again on a full disk.
            one.ahead_ms += IDLE_BATCH_MS;
            answer = self.drive(one, Event::Tick, Some(ticket))?;
        }
        answer.ok_or_else(|| format!("shard {to} does not answer: is the disk full?"))
    }
}

impl Ask for Served {
    fn ask(&self, request: &Request, octets: &[u8], each: &mut Each<'_>) -> Result<(), String> {
        let request = import_octets(request.clone(), Bytes::copy_from_slice(octets));
        let (mut refused, mut stopped) = (None, None);
        let answered = carry_out(self, request, &mut |line| {
            match line {
                Line::Done => {}
                Line::Refused(why) => refused = Some(why),
                line => {
                    if let Err(why) = each(line) {
                        stopped = Some(why);
                        return Err(std::io::ErrorKind::Interrupted.into());
                    }
                }
            }
            Ok(())
        });
        match (stopped, refused, answered) {
            (Some(why), ..) | (None, Some(why), _) => Err(why),
            (None, None, answered) => answered.map_err(|error| error.to_string()),
        }
    }
}
