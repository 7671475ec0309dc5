//! Beginning, crashing, restarting and ending.
//!
//! *Owns*: recovery and draining of all shards together, as one process. *Promises*: after every beginning
//! the stores are compared with the oracle and with their logs.

use std::collections::BTreeMap;

use ringpost::limits::TICK_MS;
use ringpost::proto::{Secret, Server};
use ringpost::shard::Shard;
use ringpost::shard::admin::{AdminReply, AdminRequest};
use ringpost::shard::event::{CONTROL, Event, Message, Ticket};
use ringpost_engine::change::Services;
use ringpost_engine::ids::{ShardId, Slot};
use ringpost_engine::store::{Options, Store};
use ringpost_engine::testing::fake_disk::FakeDisk;

use crate::oracle::Verdict;
use crate::workload::{DOMAIN, PASSWORD};
use crate::world::{Bug, Happening, Node, World};

impl World {
    pub fn open(&mut self, disks: Vec<FakeDisk>) -> Verdict {
        let shards = disks.len() as u16;
        for (index, mut disk) in disks.into_iter().enumerate() {
            let options = Options {
                segment_bytes: self.segment_bytes,
                message_bytes_max: 64 * 1024,
                checkpoint_log_bytes: self.checkpoint_log_bytes,
                index_memory_bytes_max: 64 * 1024,
                ..Options::new(ShardId(index as u16), 7)
            };
            if self.crashes > 0 && self.rng.chance(self.faults.recovery_cuts) {
                disk.power_fails_in = Some(self.rng.within(0..4));
                if Store::open(&mut disk, options.clone(), self.now()).is_err() {
                    self.trace.line(format_args!("{} recovery of {index} cut off", self.now_us));
                }
                disk.power_cut();
            }
            let (mut store, report) = Store::open(&mut disk, options, self.now())
                .map_err(|error| format!("shard {index} does not open: {error}"))?;
            if !report.damage.is_empty() && !self.rotten.contains(&index) {
                return Err(format!("shard {index} found damage: {:?}", report.damage));
            }
            // From the first crash on, so that it harms what clients did, not the setting up.
            if let Some(Bug::Engine(plant)) = self.bug
                && self.crashes > 0
            {
                store.plant(plant);
            }
            let text = format!("{} shard {index} opened: {report:?}", self.now_us);
            self.trace.line(format_args!("{text}"));
            self.quarantined.extend(report.quarantined.iter().copied());
            let shard = Shard::new(ShardId(index as u16), shards, store, server());
            self.nodes.push(Node {
                shard,
                disk,
                requests: BTreeMap::new(),
                turn_asked: false,
                ready: false,
                drained: false,
            });
            self.at(self.now_us + TICK_MS * 1_000, Happening::Tick(index));
        }
        for index in 0..self.nodes.len() {
            self.carry_out(index)?;
        }
        Ok(())
    }

    pub fn set_up(&mut self) -> Verdict {
        let shards = self.nodes.len() as u16;
        let owner = |address: &str| usize::from(Slot::of(address).shard(shards).0);
        let mut requests = vec![(0, AdminRequest::DomainAdd { name: DOMAIN.to_owned() })];
        for address in self.plan.accounts.clone() {
            let password_hash = format!("plain:{PASSWORD}");
            requests.push((
                owner(&address),
                AdminRequest::AccountAdd { address, password_hash, services: Services::ALL },
            ));
        }
        for (address, targets) in self.plan.aliases.clone() {
            self.oracle.alias_is(&address, Some(targets.clone()));
            requests.push((owner(&address), AdminRequest::AliasSet { address, targets }));
        }
        let count = requests.len();
        for (index, request) in requests {
            let message = Message::Admin { ticket: Ticket(0), request };
            self.event(index, Event::Peer { from: CONTROL, message })?;
        }
        self.until_quiet()?;
        let done = self.admin.iter().filter(|reply| matches!(reply, AdminReply::Done)).count();
        if done != count {
            return Err(format!("setting up: {:?}", self.admin));
        }
        for address in self.plan.accounts.clone() {
            self.oracle.account(&address);
        }
        Ok(())
    }

    pub fn crash(&mut self, power: bool) -> Verdict {
        self.check_visible()?;
        self.crashes += 1;
        self.trace.line(format_args!("{} {}", self.now_us, if power { "power cut" } else { "killed" }));
        for (_, link) in self.net.cut_all() {
            self.clients[link.client].conn = None;
        }
        self.queue.retain(|_, happening| happening.outlives_crash());
        self.pending = self.queue.len();
        self.peer_us.clear();
        self.restarting_us = None;
        let served = self.served();
        let mut disks = Vec::new();
        *self.counts.entry(if power { "power cuts" } else { "restarts" }).or_default() += 1;
        for node in std::mem::take(&mut self.nodes) {
            for (name, count) in node.shard.counters().figures() {
                *self.counts.entry(name).or_default() += count;
            }
            let mut disk = node.disk;
            if power {
                disk.power_cut();
            }
            // The operator changes a disk that fails, and makes room.
            disk.faults.eio_one_in = 0;
            disk.faults.capacity = u64::MAX;
            disks.push(disk);
        }
        self.rot_now(&mut disks);
        self.open(disks)?;
        self.judge_damage(&served)?;
        self.resolve_asked();
        self.check()
    }

    pub fn end_idlers(&mut self) -> Verdict {
        for index in 0..self.clients.len() {
            if self.clients[index].conn.is_some() {
                self.with_client(index, |client, tools| {
                    client.finish(tools);
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    /// The end: every client gone, everything durable.
    pub fn drain(&mut self) -> Verdict {
        self.restart()?;
        let crashes = self.crashes;
        while self.crashes == crashes {
            self.step()?;
        }
        Ok(())
    }

    /// Asks every shard to end; `step` begins anew when all have.
    pub fn restart(&mut self) -> Verdict {
        if self.restarting_us.is_some() {
            return Ok(());
        }
        self.restarting_us = Some(self.now_us);
        (0..self.nodes.len()).try_for_each(|index| self.event(index, Event::Drain))
    }
}

fn server() -> Server {
    Server {
        hostname: "mail.example.test".to_owned(),
        tls: true,
        plaintext_login: true,
        message_bytes_max: 64 * 1024,
        recipients_max: 100,
        imap_administrators: Vec::new(),
        submission_users: Vec::new(),
        url_secret: Secret(b"of the simulation".to_vec()),
        domains: Vec::new(),
        subaddress_separator: '+',
        pop3_login_delay_s: None,
        note_reads: true,
        login_timeout_ms: 60_000,
        pop3_idle_timeout_ms: 200_000,
        imap_idle_timeout_ms: 400_000,
        smtp_idle_timeout_ms: 300_000,
        imap: Default::default(),
    }
}
