//! Looks at the shards and compares with the oracle.
//!
//! *Owns*: when what is compared. *Promises*: nothing is changed by looking.

use std::collections::BTreeSet;

use ringpost::shard::admin::{AdminReply, AdminRequest};
use ringpost::shard::event::{CONTROL, Event, Message, Ticket};
use ringpost_engine::recovery::replay_read_only;
use ringpost_engine::verify::verify;

use crate::oracle::{Verdict, has_flag};
use crate::world::{Node, World};

/// Whether every account that is served, and every name, is what a replay comes to.
fn is_part_of_its_log(node: &mut Node) -> Result<bool, String> {
    let store = node.shard.store();
    let replayed = replay_read_only(&mut node.disk, Some(store.shard()), Some(store.durable()));
    let index = replayed.map_err(|error| error.to_string())?.index;
    let same = |id| store.fingerprint(id).is_some() && store.fingerprint(id) == index.fingerprint(id);
    let names = store.aliases_after("").eq(index.aliases_after("")) && store.domains().eq(index.domains());
    Ok(names && store.accounts_after("").all(|account| same(account.id())))
}

impl World {
    /// What clients can see at the moment, against all that is known.
    pub fn check_visible(&mut self) -> Verdict {
        for node in &self.nodes {
            self.oracle.check(node.shard.store())?;
        }
        self.oracle.check_accounts(self.nodes.iter().map(|node| node.shard.store()))
    }

    /// The same, and each index against a replay of its log.
    pub fn check(&mut self) -> Verdict {
        self.check_visible()?;
        for (index, node) in self.nodes.iter_mut().enumerate() {
            let verified = verify(node.shard.store(), &mut node.disk)
                .map_err(|error| format!("shard {index} cannot be verified: {error}"))?;
            let rotten = self.rotten.contains(&index);
            let sound = verified.digests.0 == verified.digests.1 && (rotten || verified.is_sound());
            // Bytes that were put right again bring nobody back before the next start.
            let waits = rotten && verified.report.damage.is_empty() && !self.quarantined.is_empty();
            if !(sound || waits && is_part_of_its_log(node)?) {
                return Err(format!("shard {index} is not its log: {verified:?}"));
            }
        }
        Ok(())
    }

    /// With nobody at work the shards must hold nothing but the connections that are open.
    pub fn check_figures(&mut self) -> Verdict {
        self.admin.clear();
        for index in 0..self.nodes.len() {
            let message = Message::Admin { ticket: Ticket(u64::MAX), request: AdminRequest::Status };
            self.event(index, Event::Peer { from: CONTROL, message })?;
        }
        let sum = |name: &str| -> u64 {
            let figures = self.admin.iter().filter_map(|reply| match reply {
                AdminReply::Status(figures) => Some(figures),
                _ => None,
            });
            figures.flatten().filter(|figure| figure.0 == name).map(|figure| figure.1).sum()
        };
        let open = self.clients.iter().filter(|desk| desk.conn.is_some()).count() as u64;
        let (connections, buffered, waiting) = (sum("connections"), sum("buffered_bytes"), sum("under_way"));
        if connections != open || buffered != 0 || waiting != 0 {
            return Err(format!(
                "{open} clients, {connections} connections, {buffered} octets buffered, {waiting} under way"
            ));
        }
        Ok(())
    }

    /// Every client in IDLE must believe what is true (rfc2177).
    pub fn compare_views(&mut self) -> Verdict {
        let views = self
            .clients
            .iter()
            .filter(|desk| desk.conn.is_some() && desk.mute_in != Some(0))
            .filter_map(|desk| desk.client.view());
        for view in views {
            let found = self.nodes.iter().find_map(|node| {
                let store = node.shard.store();
                store.account(store.account_by_address(&view.account)?)
            });
            let mailbox = found
                .and_then(|account| account.mailbox_by_name(&view.mailbox))
                .ok_or_else(|| format!("{} of {} is gone", view.mailbox, view.account))?;
            let truth: Vec<u32> = (0..mailbox.len()).map(|place| mailbox.message(place).uid.0).collect();
            let agrees = truth.len() == view.uids.len()
                && truth.iter().zip(&view.uids).all(|(uid, seen)| *seen == 0 || seen == uid);
            if !agrees {
                return Err(format!("{} idles on {:?}, the store has {truth:?}", view.account, view.uids));
            }
            for (place, seen) in view.flags.iter().enumerate() {
                let Some(seen) = seen else { continue };
                let message = mailbox.message(place);
                let seen: BTreeSet<&str> =
                    seen.iter().map(String::as_str).filter(|flag| *flag != "\\Recent").collect();
                let all = seen.iter().all(|flag| has_flag(mailbox, message.flags, flag));
                if !all || seen.len() != message.flags.0.count_ones() as usize {
                    return Err(format!(
                        "{} sees {seen:?} on UID {}, the store has {:#b}",
                        view.account, message.uid, message.flags.0
                    ));
                }
            }
            *self.counts.entry("views").or_default() += 1;
        }
        Ok(())
    }
}
