//! From links to threads in order (rfc5256#3, draft-ietf-morg-inthread#4).
//!
//! *Owns*: pruning, gathering by subject, the order of threads and siblings. *Promises*: what the steps of the
//! algorithms give, without lists of children that are rewritten; bounded work a call, nothing recursive.
//! *Assumes*: a graph with all messages. *Never*: reads a message.
//!
//! ```text
//!  all:            Room ─► Forget ─► Prune, or Firsts
//!  REFERENCES:     Prune ─► Roots ─► SortRoots ─► Table ─► Merge ─┐
//!  REFS:           Prune ─► Roots ─► Latest ──────────────────────┼─► Keys ─► DummyKeys ─► SortAll ─► Release ─► Done
//!  ORDEREDSUBJECT: Firsts ─► Subjects ────────────────────────────┘
//! ```

use super::forest::NONE;
use super::graph::{Fact, Graph};
use crate::limits::IMAP_THREAD_ARRANGE_MAX;
use crate::proto::imap::cmd::search::room::{lengthen, release};
use crate::proto::imap::cmd::search::sorter::{KeyWriter, Sorter, TooMuch};
use crate::proto::imap::command::Threading;

/// See the module.
#[derive(Debug)]
pub struct Arrange {
    algorithm: Threading,
    graph: Graph,
    /// Subjects of the graph, the empty one included.
    subjects: usize,
    stage: Stage,
    /// The next message, root or dummy of the stage.
    at: usize,
    /// By message: the node it stands below, a message's or a dummy's at the top; `NONE` at the top.
    below: Vec<u32>,
    /// By node, of use for those at the top.
    tops: Vec<Top>,
    /// Nodes at the top; from step 4 on in its order.
    roots: Vec<u32>,
    /// Dummies at the top.
    dummies: Vec<u32>,
    sorter: Sorter,
    key: KeyWriter,
    /// What the sorter's turns are.
    turns: Vec<u32>,
    /// By subject: its node in the subject table.
    table: Vec<u32>,
    /// By message: a node above it, nearer to the top than it was.
    way: Vec<u32>,
    threads: Threads,
}

#[derive(Clone, Copy, Debug)]
struct Top {
    /// How many messages stand directly below a dummy.
    below: u32,
    /// The message that stands for it in order: itself, or the first one below it.
    first: u32,
    /// Latest arrival of the thread.
    latest_s: i64,
    /// The dummy that took this one's messages.
    merged: u32,
}

const TOP: Top = Top { below: 0, first: NONE, latest_s: i64::MIN, merged: NONE };

/// Threads in order.
#[derive(Debug, Default)]
pub struct Threads {
    /// Nodes in runs: those at the top, those below each node.
    pub order: Vec<u32>,
    /// By node, and last for the top: where the run is in `order`.
    pub runs: Vec<(u32, u32)>,
    /// By node: the message's name; 0 for a dummy.
    pub names: Vec<u32>,
}

impl Threads {
    /// Forgets a piece of them, when they are told. Whether there is more.
    pub fn release(&mut self) -> bool {
        release(&mut self.order) || release(&mut self.runs) || release(&mut self.names)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Room,
    Forget,
    Prune,
    Roots,
    SortRoots,
    Table,
    Merge,
    Latest,
    Firsts,
    Subjects,
    Keys,
    DummyKeys,
    SortAll,
    Release,
    Done,
}

impl Arrange {
    /// Nothing arranged yet.
    pub fn new(graph: Graph, algorithm: Threading) -> Arrange {
        Arrange {
            algorithm,
            stage: Stage::Room,
            at: 0,
            below: Vec::new(),
            tops: Vec::new(),
            roots: Vec::new(),
            dummies: Vec::new(),
            sorter: Sorter::default(),
            key: KeyWriter::default(),
            turns: Vec::new(),
            table: Vec::new(),
            way: Vec::new(),
            threads: Threads::default(),
            subjects: graph.subjects(),
            graph,
        }
    }

    /// Goes on. The threads when all is done.
    pub fn step(&mut self) -> Result<Option<Threads>, TooMuch> {
        let mut budget = IMAP_THREAD_ARRANGE_MAX;
        while budget > 0 {
            budget -= 1;
            let refs = self.algorithm == Threading::Refs;
            let ordered_subject = self.algorithm == Threading::OrderedSubject;
            let (more, next) = match self.stage {
                Stage::Room => (self.room(&mut budget), Stage::Forget),
                Stage::Forget => {
                    (self.graph.forget(), if ordered_subject { Stage::Firsts } else { Stage::Prune })
                }
                Stage::Prune => (self.prune(&mut budget), Stage::Roots),
                Stage::Roots => (self.root()?, if refs { Stage::Latest } else { Stage::SortRoots }),
                Stage::SortRoots => (self.sort_roots(&mut budget), Stage::Table),
                Stage::Table => (self.enter(), Stage::Merge),
                Stage::Merge => (self.merge(), Stage::Keys),
                Stage::Latest => (self.latest(&mut budget), Stage::Keys),
                Stage::Firsts => (self.first_of_subject(), Stage::Subjects),
                Stage::Subjects => (self.below_first(), Stage::Keys),
                Stage::Keys => (self.key_message()?, Stage::DummyKeys),
                Stage::DummyKeys => (self.key_dummy()?, Stage::SortAll),
                Stage::SortAll => (self.sort_all(&mut budget), Stage::Release),
                Stage::Release => (self.release(&mut budget), Stage::Done),
                Stage::Done => return Ok(Some(std::mem::take(&mut self.threads))),
            };
            if !more {
                self.stage = next;
                self.at = 0;
            }
        }
        Ok(None)
    }

    /// Makes a piece of the room that the stages need.
    fn room(&mut self, budget: &mut usize) -> bool {
        let more = std::mem::take(budget);
        let (messages, nodes) = (self.graph.facts.len(), self.graph.parents.len());
        lengthen(&mut self.below, messages, NONE, more)
            || lengthen(&mut self.tops, nodes, TOP, more)
            || lengthen(&mut self.table, self.subjects, NONE, more)
    }

    /// Step 3: where the next message stands when dummies are gone, those at the top aside. Way through
    /// dummies becomes shorter for whoever goes it next.
    fn prune(&mut self, budget: &mut usize) -> bool {
        let Graph { parents, messages, facts, .. } = &mut self.graph;
        let Some(fact) = facts.get(self.at) else { return false };
        let mut above = parents[fact.node as usize];
        while above != NONE && messages[above as usize] == NONE {
            let next = parents[above as usize];
            if next == NONE {
                break;
            }
            let after = parents[next as usize];
            if messages[next as usize] == NONE && after != NONE {
                parents[above as usize] = after;
            }
            above = parents[above as usize];
            if *budget == 0 {
                return true;
            }
            *budget -= 1;
        }
        self.below[self.at] = above;
        if above != NONE && messages[above as usize] == NONE {
            self.tops[above as usize].below += 1;
            self.offer_first(above);
        }
        self.at += 1;
        true
    }

    /// The message at hand may be the first one below a dummy.
    fn offer_first(&mut self, dummy: u32) {
        let facts = &self.graph.facts;
        let order = |message: u32| facts.get(message as usize).map(|fact| (fact.sent_s, fact.name));
        let top = &mut self.tops[dummy as usize];
        let this = self.at as u32;
        if top.first == NONE || order(this) < order(top.first) {
            top.first = this;
        }
    }

    /// Step 2, and what step 3 says of dummies at the top: an only child takes its dummy's place.
    fn root(&mut self) -> Result<bool, TooMuch> {
        let Some(&Fact { node, .. }) = self.graph.facts.get(self.at) else { return Ok(false) };
        let this = self.at as u32;
        self.at += 1;
        let above = self.below[this as usize];
        let dummy = above != NONE && self.is_dummy(above);
        if dummy && self.tops[above as usize].below > 1 {
            if self.tops[above as usize].first == this {
                self.dummies.push(above);
                self.add_root(above)?;
            }
        } else if dummy || above == NONE {
            self.below[this as usize] = NONE;
            self.tops[node as usize].first = this;
            self.add_root(node)?;
        }
        Ok(true)
    }

    fn is_dummy(&self, node: u32) -> bool {
        self.graph.messages[node as usize] == NONE
    }

    fn first_of(&self, node: u32) -> Option<&Fact> {
        self.graph.facts.get(self.tops[node as usize].first as usize)
    }

    fn add_root(&mut self, node: u32) -> Result<(), TooMuch> {
        self.roots.push(node);
        if self.algorithm == Threading::References {
            let first = self.first_of(node).map_or((0, 0), |fact| (fact.sent_s, fact.name));
            self.key.clear();
            self.key.signed(first.0);
            self.key.number(u64::from(first.1));
            self.sorter.add(self.key.key())?;
        }
        Ok(())
    }

    /// Step 4.
    fn sort_roots(&mut self, budget: &mut usize) -> bool {
        *budget = 0;
        let (roots, sorted) = (&self.roots, &mut self.turns);
        if !self.sorter.step(|turn| sorted.extend(roots.get(turn).copied())) {
            return true;
        }
        if self.sorter.release() {
            return true;
        }
        self.roots = std::mem::take(&mut self.turns);
        self.sorter = Sorter::default();
        false
    }

    /// Gives back a piece of what only served to arrange.
    fn release(&mut self, budget: &mut usize) -> bool {
        *budget = 0;
        self.sorter.release()
            || self.graph.release()
            || [&mut self.below, &mut self.roots, &mut self.dummies, &mut self.turns].into_iter().any(release)
            || [&mut self.table, &mut self.way].into_iter().any(release)
            || release(&mut self.tops)
    }

    fn reply(&self, node: u32) -> bool {
        self.graph.facts.get(self.graph.messages[node as usize] as usize).is_some_and(|fact| fact.reply)
    }

    /// Step 5.B.
    fn enter(&mut self) -> bool {
        let Some(&node) = self.roots.get(self.at) else { return false };
        self.at += 1;
        let subject = self.first_of(node).map_or(0, |fact| fact.subject as usize);
        if subject == 0 {
            return true;
        }
        let known = self.table[subject];
        let better = |known| self.is_dummy(node) || (self.reply(known) && !self.reply(node));
        if known == NONE || (!self.is_dummy(known) && better(known)) {
            self.table[subject] = node;
        }
        true
    }

    /// Step 5.C.
    fn merge(&mut self) -> bool {
        let Some(&node) = self.roots.get(self.at) else { return false };
        self.at += 1;
        let subject = self.first_of(node).map_or(0, |fact| fact.subject as usize);
        let known = self.table[subject];
        let message = self.graph.messages[node as usize];
        // One that was put below a dummy meanwhile is no child of the root any more.
        let placed = message != NONE && self.below[message as usize] != NONE;
        if subject == 0 || known == node || placed {
            return true;
        }
        if message == NONE {
            // A dummy is in the table as well: it would not have kept its place from this one otherwise.
            self.tops[node as usize].merged = known;
        } else if self.is_dummy(known) || (self.reply(node) && !self.reply(known)) {
            self.below[message as usize] = known;
        } else {
            let dummy = self.graph.dummy();
            self.tops.push(TOP);
            self.dummies.push(dummy);
            for message in [message, self.graph.messages[known as usize]] {
                self.below[message as usize] = dummy;
            }
            self.table[subject] = dummy;
        }
        true
    }

    /// REFS: the latest arrival of each thread.
    fn latest(&mut self, budget: &mut usize) -> bool {
        if self.way.len() < self.below.len() {
            let rest = &self.below[self.way.len()..];
            self.way.reserve_exact(rest.len());
            self.way.extend_from_slice(&rest[..rest.len().min(*budget)]);
            *budget = 0;
            return true;
        }
        let Some(&Fact { mut node, arrived_s, .. }) = self.graph.facts.get(self.at) else { return false };
        let messages = &self.graph.messages;
        let above =
            |way: &[u32], node: u32| way.get(messages[node as usize] as usize).copied().unwrap_or(NONE);
        loop {
            let next = above(&self.way, node);
            if next == NONE {
                break;
            }
            let after = above(&self.way, next);
            if after != NONE {
                self.way[messages[node as usize] as usize] = after;
            }
            node = next;
            if *budget == 0 {
                return true;
            }
            *budget -= 1;
        }
        let latest_s = &mut self.tops[node as usize].latest_s;
        *latest_s = (*latest_s).max(arrived_s);
        self.at += 1;
        true
    }

    /// ORDEREDSUBJECT: the first message of each subject.
    fn first_of_subject(&mut self) -> bool {
        let Graph { facts, messages, .. } = &self.graph;
        let Some(fact) = facts.get(self.at) else { return false };
        self.at += 1;
        let known = &mut self.table[fact.subject as usize];
        let first = messages.get(*known as usize).and_then(|&message| facts.get(message as usize));
        if first.is_none_or(|first| (fact.sent_s, fact.name) < (first.sent_s, first.name)) {
            *known = fact.node;
        }
        true
    }

    /// ORDEREDSUBJECT: the others stand below it.
    fn below_first(&mut self) -> bool {
        let Some(fact) = self.graph.facts.get(self.at) else { return false };
        let first = self.table[fact.subject as usize];
        self.below[self.at] = if first == fact.node { NONE } else { first };
        self.at += 1;
        true
    }

    /// The node that a message stands below in the end.
    fn above(&self, message: usize) -> u32 {
        let above = self.below[message];
        match self.tops.get(above as usize) {
            Some(top) if top.merged != NONE => top.merged,
            _ => above,
        }
    }

    /// Step 6: siblings by date. REFS: threads by their latest arrival.
    fn key_message(&mut self) -> Result<bool, TooMuch> {
        let Some(&Fact { node, sent_s, name, .. }) = self.graph.facts.get(self.at) else { return Ok(false) };
        let above = self.above(self.at);
        if above != NONE && self.is_dummy(above) {
            self.offer_first(above);
        }
        self.at += 1;
        let at_top = above == NONE && self.algorithm == Threading::Refs;
        let date_s = if at_top { self.tops[node as usize].latest_s } else { sent_s };
        self.add_key(node, above, date_s, name)?;
        Ok(true)
    }

    /// Step 6: a dummy by its first child.
    fn key_dummy(&mut self) -> Result<bool, TooMuch> {
        let Some(&node) = self.dummies.get(self.at) else { return Ok(false) };
        self.at += 1;
        let top = self.tops[node as usize];
        if top.merged != NONE {
            return Ok(true);
        }
        let (sent_s, name) = self.first_of(node).map_or((0, 0), |fact| (fact.sent_s, fact.name));
        let date_s = if self.algorithm == Threading::Refs { top.latest_s } else { sent_s };
        self.add_key(node, NONE, date_s, name)?;
        Ok(true)
    }

    fn add_key(&mut self, node: u32, above: u32, date_s: i64, name: u32) -> Result<(), TooMuch> {
        self.key.clear();
        self.key.number(u64::from(above));
        self.key.signed(date_s);
        self.key.number(u64::from(name));
        self.turns.push(node);
        self.sorter.add(self.key.key())
    }

    fn sort_all(&mut self, budget: &mut usize) -> bool {
        *budget = 0;
        let nodes = self.graph.parents.len();
        let Threads { runs, names, .. } = &mut self.threads;
        let more = IMAP_THREAD_ARRANGE_MAX;
        if lengthen(runs, nodes + 1, (0, 0), more) || lengthen(names, nodes, 0, more) {
            return true;
        }
        let mut placed = Vec::new();
        let turns = &self.turns;
        let done = self.sorter.step(|turn| placed.extend(turns.get(turn).copied()));
        for node in placed {
            let message = self.graph.messages[node as usize];
            let fact = self.graph.facts.get(message as usize);
            let above = if fact.is_some() { self.above(message as usize) } else { NONE };
            let Threads { order, runs, names } = &mut self.threads;
            let run = &mut runs[nodes.min(above as usize)];
            if run.0 == run.1 {
                *run = (order.len() as u32, order.len() as u32);
            }
            run.1 += 1;
            order.push(node);
            names[node as usize] = fact.map_or(0, |fact| fact.name);
        }
        !done
    }
}
