//! The administrator, while everybody works.
//!
//! *Owns*: what is asked of the shards over the control inbox, and what its answers mean. *Promises*: every
//! request ends as answered, or is looked up after the crash that swallowed its answer.
//! *Never*: asks about a name that it still waits for.

use ringpost::shard::admin::{AdminReply, AdminRequest};
use ringpost::shard::event::{CONTROL, Event, Message, Ticket};
use ringpost_engine::change::Services;
use ringpost_engine::ids::Slot;

use crate::oracle::Verdict;
use crate::workload::{DOMAIN, PASSWORD};
use crate::world::{Happening, World};

/// Longest wait before a deleted account is created again, microseconds.
const CREATED_AGAIN_US: u64 = 3_000_000;

/// A change that is asked for.
#[derive(Clone, Debug)]
pub enum Asked {
    /// An account, new or again.
    Add(String),
    /// The end of one.
    Delete(String),
    /// Other targets of an alias; none: its end.
    Alias(String, Option<Vec<String>>),
}

impl Asked {
    fn name(&self) -> &String {
        match self {
            Asked::Add(name) | Asked::Delete(name) | Asked::Alias(name, _) => name,
        }
    }
}

impl World {
    /// What the administrator does in one stretch of work.
    pub fn chores(&mut self) -> Vec<Asked> {
        let mut chores = Vec::new();
        if !self.rotten.is_empty() {
            return chores;
        }
        if self.rng.chance(50) {
            chores.push(Asked::Add(format!("late{}@{DOMAIN}", self.last_ticket + 1)));
        }
        for _ in 0..self.faults.deletions {
            chores.push(Asked::Delete(self.rng.pick(&self.plan.accounts).clone()));
        }
        for _ in 0..self.rng.within(0..3) {
            let name = self.rng.pick(&self.plan.aliases).0.clone();
            let chosen = self.plan.accounts.iter().filter(|_| self.rng.chance(50)).cloned();
            let targets: Vec<String> = chosen.collect();
            chores.push(Asked::Alias(name, (!targets.is_empty()).then_some(targets)));
        }
        chores
    }

    fn owner(&self, address: &str) -> usize {
        usize::from(Slot::of(address).shard(self.nodes.len() as u16).0)
    }

    /// Asks for a change.
    pub fn administer(&mut self, asked: Asked) -> Verdict {
        if self.asked.values().any(|other| other.name() == asked.name()) {
            return Ok(());
        }
        let request = match asked.clone() {
            Asked::Add(address) => {
                self.oracle.changing(&address);
                let password_hash = format!("plain:{PASSWORD}");
                AdminRequest::AccountAdd { address, password_hash, services: Services::ALL }
            }
            Asked::Delete(address) if !self.oracle.is_steady(&address) => return Ok(()),
            Asked::Delete(address) => {
                self.oracle.changing(&address);
                AdminRequest::AccountDelete { address }
            }
            Asked::Alias(address, targets) => {
                self.oracle.alias_changing(&address, targets.as_deref());
                match targets {
                    Some(targets) => AdminRequest::AliasSet { address, targets },
                    None => AdminRequest::AliasDelete { address },
                }
            }
        };
        self.last_ticket += 1;
        let (index, ticket) = (self.owner(asked.name()), Ticket(self.last_ticket));
        self.trace.line(format_args!("{} administrator {asked:?}", self.now_us));
        self.asked.insert(ticket, asked);
        self.event(index, Event::Peer { from: CONTROL, message: Message::Admin { ticket, request } })
    }

    /// An answer came.
    pub fn on_admin_reply(&mut self, index: usize, ticket: Ticket, reply: AdminReply) -> Verdict {
        let done = matches!(reply, AdminReply::Done);
        let asked = self.asked.remove(&ticket);
        if let (None, _) | (_, AdminReply::Status(_)) = (&asked, &reply) {
            self.admin.push(reply);
            return Ok(());
        }
        match asked {
            Some(Asked::Delete(address)) if done => {
                self.must_be_closed(index, &address)?;
                self.account_deleted(&address);
            }
            Some(Asked::Alias(name, targets)) if done => self.oracle.alias_is(&name, targets),
            Some(Asked::Add(address)) if done => self.account_added(address),
            // Refused: the disk is full, or there was nothing to change.
            Some(asked) => self.look_up_asked(asked),
            None => {}
        }
        Ok(())
    }

    fn account_added(&mut self, address: String) {
        self.oracle.account(&address);
        if !self.plan.accounts.contains(&address) {
            self.plan.accounts.push(address);
        }
    }

    fn account_deleted(&mut self, address: &str) {
        self.oracle.deleted(address);
        if self.rng.chance(75) {
            self.after(CREATED_AGAIN_US, Happening::Administer(Asked::Add(address.to_owned())));
        }
    }

    /// What became of a change without an answer that says so.
    fn look_up_asked(&mut self, asked: Asked) {
        let store = self.nodes[self.owner(asked.name())].shard.store();
        match asked {
            Asked::Alias(name, _) => {
                let targets = store.alias(&name).map(<[String]>::to_vec);
                self.oracle.alias_is(&name, targets);
            }
            Asked::Add(address) | Asked::Delete(address) if store.account_by_address(&address).is_some() => {
                self.account_added(address);
            }
            Asked::Add(address) | Asked::Delete(address) => self.account_deleted(&address),
        }
    }

    /// After a crash: what is visible is durable, so the stores have the answers.
    pub fn resolve_asked(&mut self) {
        for asked in std::mem::take(&mut self.asked).into_values() {
            self.look_up_asked(asked);
        }
    }

    /// The sessions of a deleted account end in the same turn.
    fn must_be_closed(&mut self, index: usize, address: &str) -> Verdict {
        let idling: Vec<_> = self
            .clients
            .iter()
            .filter(|desk| desk.client.view().is_some_and(|view| view.account == address))
            .filter_map(|desk| desk.conn)
            .collect();
        for conn in idling {
            let open =
                |link: &&mut crate::net::Link| !link.server_closed && !link.moving && link.shard == index;
            if self.net.link(conn).as_ref().is_some_and(open) {
                return Err(format!("{conn:?} goes on in {address}, which is deleted"));
            }
        }
        Ok(())
    }
}
