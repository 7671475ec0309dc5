//! Which message answers which (rfc5256#3 REFERENCES, step 1).
//!
//! *Owns*: messages, ids of messages that are not there, and the links between them. *Promises*: step 1 to the
//! letter, loops included; a bounded number of nodes. *Assumes*: messages come in mailbox order. *Never*:
//! sorts or prunes.

use std::collections::BTreeMap;

use ringpost_engine::layout::MessageIdHash;

use super::forest::{Forest, NONE};
use crate::limits::{IMAP_SORT_BYTES_MAX, IMAP_THREAD_NODES_MAX};
use crate::proto::imap::cmd::search::room::release;
use crate::proto::imap::cmd::search::sorter::TooMuch;

/// What is known of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Its number or UID; they grow with the mailbox's order.
    pub name: u32,
    /// Its node.
    pub node: u32,
    /// Sent date in seconds since 1970 (rfc5256#2.2).
    pub sent_s: i64,
    /// INTERNALDATE in seconds since 1970.
    pub arrived_s: i64,
    /// Its base subject's index; 0 is the empty one.
    pub subject: u32,
    /// Making the base subject took away a sign of a reply or forward.
    pub reply: bool,
}

/// A message before it is in the graph.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// See [`Fact::name`].
    pub name: u32,
    /// See [`Fact::sent_s`].
    pub sent_s: i64,
    /// See [`Fact::arrived_s`].
    pub arrived_s: i64,
    /// Its base subject, folded.
    pub subject: &'a [u8],
    /// See [`Fact::reply`].
    pub reply: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Graph {
    /// By node: its parent, or `NONE`.
    pub parents: Vec<u32>,
    /// By node: which of `facts` it is, or `NONE` for a dummy.
    pub messages: Vec<u32>,
    /// In mailbox order.
    pub facts: Vec<Fact>,
    /// By node: something was linked below it at some time.
    above: Vec<bool>,
    forest: Forest,
    ids: BTreeMap<MessageIdHash, u32>,
    subjects: BTreeMap<Box<[u8]>, u32>,
    subject_bytes: usize,
}

/// What a subject costs beside its octets, in octets.
const SUBJECT_COST: usize = 48;

impl Graph {
    /// Adds the next message without links. Its node is a dummy's that waited for this id, unless another
    /// message has it already.
    pub fn add(&mut self, arrival: Arrival<'_>, id: Option<MessageIdHash>) -> Result<u32, TooMuch> {
        let known = id.and_then(|id| self.ids.get(&id).copied());
        let node = match known.filter(|&node| self.messages[node as usize] == NONE) {
            Some(dummy) => dummy,
            // rfc5256#3: without an id, or with one that another message has, it gets one of its own.
            None => self.node(id.filter(|_| known.is_none()))?,
        };
        self.messages[node as usize] = self.facts.len() as u32;
        let Arrival { name, sent_s, arrived_s, reply, .. } = arrival;
        let subject = self.subject(arrival.subject)?;
        self.facts.push(Fact { name, node, sent_s, arrived_s, subject, reply });
        Ok(node)
    }

    /// Links a message and its ancestors, oldest first; how many nodes that were.
    pub fn link(
        &mut self,
        node: u32,
        ancestors: impl Iterator<Item = MessageIdHash>,
    ) -> Result<usize, TooMuch> {
        let (mut last, mut nodes) = (NONE, 1);
        for id in ancestors {
            nodes += 1;
            let ancestor = match self.ids.get(&id) {
                Some(&known) => known,
                None => self.node(Some(id))?,
            };
            // Step 1.A: an existing link stays.
            if last != NONE && self.parents[ancestor as usize] == NONE {
                self.set_parent(ancestor, last);
            }
            last = ancestor;
        }
        // Step 1.B: an existing link came from a truncated list of another message.
        if self.parents[node as usize] != NONE {
            self.parents[node as usize] = NONE;
            self.forest.cut(node);
        }
        if last != NONE {
            self.set_parent(node, last);
        }
        Ok(nodes)
    }

    /// How many subjects there are, the empty one included; until they are forgotten.
    pub fn subjects(&self) -> usize {
        self.subjects.len() + 1
    }

    /// Forgets a piece of what only serves to add messages: to drop it all at once would take long. Whether there
    /// is more.
    pub fn forget(&mut self) -> bool {
        let id = self.ids.pop_first();
        let subject = self.subjects.pop_first();
        id.is_some() || subject.is_some()
    }

    /// Makes room for so many messages before they come, so that those which are there need not be moved.
    pub fn expect(&mut self, count: usize) {
        let count = count.min(IMAP_THREAD_NODES_MAX);
        self.parents.reserve_exact(count);
        self.messages.reserve_exact(count);
        self.facts.reserve_exact(count);
        self.above.reserve_exact(count);
        self.forest.expect(count);
    }

    /// Forgets a piece of all the rest. Whether there is more.
    pub fn release(&mut self) -> bool {
        release(&mut self.facts)
            || release(&mut self.parents)
            || release(&mut self.messages)
            || release(&mut self.above)
            || self.forest.release()
    }

    /// Adds a node that stands for no message.
    pub fn dummy(&mut self) -> u32 {
        self.parents.push(NONE);
        self.messages.push(NONE);
        self.parents.len() as u32 - 1
    }

    fn node(&mut self, id: Option<MessageIdHash>) -> Result<u32, TooMuch> {
        if self.parents.len() == IMAP_THREAD_NODES_MAX {
            return Err(TooMuch);
        }
        let node = self.dummy();
        self.above.push(false);
        self.forest.add();
        if let Some(id) = id {
            self.ids.insert(id, node);
        }
        Ok(node)
    }

    /// Links a node that has no parent, unless that made a loop.
    fn set_parent(&mut self, node: u32, parent: u32) {
        // What has nothing below it cannot be above its parent.
        let may_loop = self.above[node as usize] || node == parent;
        if may_loop && self.forest.root(parent) == node {
            return;
        }
        self.parents[node as usize] = parent;
        self.above[parent as usize] = true;
        self.forest.link(node, parent);
    }

    fn subject(&mut self, subject: &[u8]) -> Result<u32, TooMuch> {
        if subject.is_empty() {
            return Ok(0);
        }
        if let Some(&known) = self.subjects.get(subject) {
            return Ok(known);
        }
        self.subject_bytes += subject.len() + SUBJECT_COST;
        if self.subject_bytes > IMAP_SORT_BYTES_MAX {
            return Err(TooMuch);
        }
        let index = self.subjects.len() as u32 + 1;
        self.subjects.insert(subject.into(), index);
        Ok(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(messages: &[(u64, &[u64])]) -> Vec<Option<u64>> {
        let mut graph = Graph::default();
        for (place, &(id, ancestors)) in messages.iter().enumerate() {
            let name = place as u32 + 1;
            let arrival = Arrival { name, sent_s: 0, arrived_s: 0, subject: b"", reply: false };
            let node = graph.add(arrival, Some(id).filter(|&id| id != 0)).unwrap();
            graph.link(node, ancestors.iter().copied()).unwrap();
        }
        let id_of = |node: u32| graph.ids.iter().find(|&(_, &known)| known == node).map(|(&id, _)| id);
        let parent = |fact: &Fact| Some(graph.parents[fact.node as usize]).filter(|&parent| parent != NONE);
        graph.facts.iter().map(|fact| parent(fact).and_then(id_of)).collect()
    }

    #[test]
    fn links_follow_the_lists() {
        assert_eq!(graph(&[(1, &[]), (2, &[1]), (3, &[1, 2])]), [None, Some(1), Some(2)]);
        // A child before its parent, through a dummy that becomes the message.
        assert_eq!(graph(&[(3, &[1, 2]), (2, &[1])]), [Some(2), Some(1)]);
        // The message's own list wins over another one's (step 1.B), also when it is empty.
        assert_eq!(graph(&[(9, &[1, 3]), (3, &[2])]), [Some(3), Some(2)]);
        assert_eq!(graph(&[(9, &[1, 3]), (3, &[])]), [Some(3), None]);
    }

    #[test]
    fn ids_are_used_once_and_loops_are_not_made() {
        assert_eq!(graph(&[(1, &[]), (1, &[]), (2, &[1])]), [None, None, Some(1)]);
        assert_eq!(graph(&[(0, &[]), (0, &[0x55])]), [None, Some(0x55)]);
        assert_eq!(graph(&[(1, &[1])]), [None]);
        assert_eq!(graph(&[(1, &[2]), (2, &[1])]), [Some(2), None]);
        assert_eq!(graph(&[(1, &[2]), (2, &[3]), (3, &[1, 2, 3, 1])]), [Some(2), Some(3), None]);
    }

    #[test]
    fn a_hostile_chain_costs_what_it_is_long() {
        let mut graph = Graph::default();
        let arrival = |name| Arrival { name, sent_s: 0, arrived_s: 0, subject: b"", reply: false };
        for name in 1..=20_000u32 {
            let node = graph.add(arrival(name), Some(u64::from(name))).unwrap();
            // Each answers the one before and claims to be answered by the first.
            graph
                .link(node, [u64::from(name) + 1, 1, u64::from(name) - 1].into_iter().filter(|&id| id > 0))
                .unwrap();
        }
        assert_eq!(graph.parents.len(), 20_001);
    }
}
