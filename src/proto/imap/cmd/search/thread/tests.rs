//! Threading against the steps of rfc5256#3 as they are written, on random and on hostile messages.

use std::collections::BTreeMap;

use super::arrange::Arrange;
use super::graph::{Arrival, Graph};
use super::tell::Teller;
use crate::proto::Output;
use crate::proto::imap::command::Threading;
use crate::proto::imap::out::Out;

#[derive(Clone, Debug, Default)]
struct Message {
    id: u64,
    references: Vec<u64>,
    sent_s: i64,
    arrived_s: i64,
    subject: &'static str,
    reply: bool,
}

fn told(messages: &[Message], algorithm: Threading) -> String {
    let mut graph = Graph::default();
    for (place, message) in messages.iter().enumerate() {
        let Message { sent_s, arrived_s, subject, reply, .. } = *message;
        let name = place as u32 + 1;
        let arrival = Arrival { name, sent_s, arrived_s, subject: subject.as_bytes(), reply };
        let node = graph.add(arrival, Some(message.id).filter(|&id| id != 0)).unwrap();
        graph.link(node, message.references.iter().copied()).unwrap();
    }
    let mut arrange = Arrange::new(graph, algorithm);
    let threads = loop {
        if let Some(threads) = arrange.step().unwrap() {
            break threads;
        }
    };
    let (mut teller, mut out, mut text) = (Teller::default(), Out::default(), String::new());
    loop {
        out.allow(1);
        let done = teller.write(&threads, &mut out);
        while let Some(Output::Bytes(bytes)) = out.poll() {
            text.push_str(&String::from_utf8_lossy(&bytes));
        }
        if done {
            return text.trim_end().strip_prefix("* THREAD").expect("a THREAD reply").trim().to_owned();
        }
    }
}

/// The steps with trees that are rewritten as the RFC says, whatever that costs.
#[derive(Default)]
struct Naive {
    /// Key: node. Message 0 is a dummy.
    nodes: BTreeMap<usize, Node>,
    next: usize,
    table: BTreeMap<&'static str, usize>,
}

#[derive(Default)]
struct Node {
    message: usize,
    parent: Option<usize>,
    children: Vec<usize>,
}

impl Naive {
    fn node(&mut self, message: usize) -> usize {
        self.next += 1;
        self.nodes.insert(self.next, Node { message, ..Node::default() });
        self.next
    }

    fn is_below(&self, mut node: usize, above: usize) -> bool {
        loop {
            if node == above {
                return true;
            }
            match self.nodes[&node].parent {
                Some(parent) => node = parent,
                None => return false,
            }
        }
    }

    fn unlink(&mut self, node: usize) {
        if let Some(parent) = self.nodes.get_mut(&node).unwrap().parent.take() {
            self.nodes.get_mut(&parent).unwrap().children.retain(|&child| child != node);
        }
    }

    fn link(&mut self, node: usize, parent: usize) {
        self.nodes.get_mut(&node).unwrap().parent = Some(parent);
        self.nodes.get_mut(&parent).unwrap().children.push(node);
    }

    fn step_1(&mut self, messages: &[Message]) {
        let mut ids: BTreeMap<u64, usize> = BTreeMap::new();
        for (place, message) in messages.iter().enumerate() {
            let known = ids.get(&message.id).copied().filter(|_| message.id != 0);
            let node = match known {
                Some(dummy) if self.nodes[&dummy].message == 0 => {
                    self.nodes.get_mut(&dummy).unwrap().message = place + 1;
                    dummy
                }
                _ => self.node(place + 1),
            };
            if known.is_none() && message.id != 0 {
                ids.insert(message.id, node);
            }
            let mut last = None;
            for reference in &message.references {
                let ancestor = match ids.get(reference) {
                    Some(&known) => known,
                    None => {
                        let dummy = self.node(0);
                        ids.insert(*reference, dummy);
                        dummy
                    }
                };
                if let Some(last) = last
                    && self.nodes[&ancestor].parent.is_none()
                    && !self.is_below(last, ancestor)
                {
                    self.link(ancestor, last);
                }
                last = Some(ancestor);
            }
            self.unlink(node);
            if let Some(last) = last.filter(|&last| !self.is_below(last, node)) {
                self.link(node, last);
            }
        }
    }

    fn tops(&self) -> Vec<usize> {
        self.nodes.iter().filter(|(_, node)| node.parent.is_none()).map(|(&key, _)| key).collect()
    }

    fn step_3(&mut self) {
        loop {
            let dummies: Vec<usize> =
                self.nodes.iter().filter(|(_, node)| node.message == 0).map(|(&key, _)| key).collect();
            let prunable = dummies.into_iter().find(|dummy| {
                let node = &self.nodes[dummy];
                node.parent.is_some() || node.children.len() < 2
            });
            let Some(dummy) = prunable else { return };
            let parent = self.nodes[&dummy].parent;
            self.unlink(dummy);
            for child in self.nodes.remove(&dummy).unwrap().children {
                self.nodes.get_mut(&child).unwrap().parent = None;
                if let Some(parent) = parent {
                    self.link(child, parent);
                }
            }
        }
    }

    fn date(&self, node: usize, messages: &[Message]) -> (i64, usize) {
        match &self.nodes[&node] {
            Node { message: 0, children, .. } => {
                children.iter().map(|&child| self.date(child, messages)).min().unwrap()
            }
            Node { message, .. } => (messages[message - 1].sent_s, *message),
        }
    }

    fn step_5(&mut self, messages: &[Message]) {
        let mut tops = self.tops();
        tops.sort_by_key(|&top| self.date(top, messages));
        let subject = |naive: &Naive, top: usize| messages[naive.date(top, messages).1 - 1].subject;
        let dummy = |naive: &Naive, top: usize| naive.nodes[&top].message == 0;
        let reply =
            |naive: &Naive, top: usize| !dummy(naive, top) && messages[naive.nodes[&top].message - 1].reply;
        let subjects: BTreeMap<usize, &str> = tops.iter().map(|&top| (top, subject(self, top))).collect();
        for &top in tops.iter().filter(|top| !subjects[top].is_empty()) {
            match self.table.get(subjects[&top]).copied() {
                Some(known)
                    if dummy(self, known)
                        || !(dummy(self, top) || (reply(self, known) && !reply(self, top))) => {}
                _ => {
                    self.table.insert(subjects[&top], top);
                }
            }
        }
        for top in tops.into_iter().filter(|top| !subjects[top].is_empty()) {
            let known = self.table[subjects[&top]];
            if known == top || self.nodes[&top].parent.is_some() {
                continue;
            }
            if dummy(self, top) && dummy(self, known) {
                for child in self.nodes.remove(&top).unwrap().children {
                    self.link(child, known);
                }
            } else if dummy(self, known) || (reply(self, top) && !reply(self, known)) {
                self.link(top, known);
            } else {
                let new = self.node(0);
                self.link(top, new);
                self.link(known, new);
                self.table.insert(subjects[&top], new);
            }
        }
    }

    fn text(&self, node: usize, key: &dyn Fn(usize) -> (i64, usize)) -> String {
        let Node { message, children, .. } = &self.nodes[&node];
        let mut children = children.clone();
        children.sort_by_key(|&child| key(child));
        let name = if *message == 0 { String::new() } else { message.to_string() };
        match children.as_slice() {
            [] => name,
            [only] => format!("{name} {}", self.text(*only, key)),
            several => {
                let space = if name.is_empty() { "" } else { " " };
                let below: String =
                    several.iter().map(|&child| format!("({})", self.text(child, key))).collect();
                format!("{name}{space}{below}")
            }
        }
    }

    fn latest(&self, node: usize, messages: &[Message]) -> i64 {
        let Node { message, children, .. } = &self.nodes[&node];
        let own = message.checked_sub(1).map_or(i64::MIN, |place| messages[place].arrived_s);
        children.iter().map(|&child| self.latest(child, messages)).fold(own, i64::max)
    }
}

fn naive(messages: &[Message], algorithm: Threading) -> String {
    let mut naive = Naive::default();
    if algorithm == Threading::OrderedSubject {
        let mut order: Vec<usize> = (0..messages.len()).collect();
        order.sort_by_key(|&place| (messages[place].subject, messages[place].sent_s, place));
        let mut first: Option<(usize, &str)> = None;
        for place in order {
            let node = naive.node(place + 1);
            match first.filter(|&(_, subject)| subject == messages[place].subject) {
                Some((first, _)) => naive.link(node, first),
                None => first = Some((node, messages[place].subject)),
            }
        }
    } else {
        naive.step_1(messages);
        naive.step_3();
    }
    if algorithm == Threading::References {
        naive.step_5(messages);
    }
    let key = |node: usize| naive.date(node, messages);
    let mut tops = naive.tops();
    tops.sort_by_key(|&top| {
        let (date, name) = key(top);
        (if algorithm == Threading::Refs { naive.latest(top, messages) } else { date }, name)
    });
    tops.into_iter().map(|top| format!("({})", naive.text(top, &key))).collect()
}

const ALL: [Threading; 3] = [Threading::OrderedSubject, Threading::References, Threading::Refs];

#[test]
fn random_messages_thread_as_the_steps_say() {
    let mut state = 11u64;
    let mut next = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for round in 0..3_000 {
        let count = 1 + next(14);
        let ids = 2 + next(16);
        let messages: Vec<Message> = (0..count)
            .map(|_| Message {
                id: next(ids),
                references: (0..next(5)).map(|_| 1 + next(ids)).collect(),
                sent_s: next(6) as i64 - 3,
                arrived_s: next(6) as i64,
                subject: ["", "A", "B", "C"][next(4) as usize],
                reply: next(2) == 0,
            })
            .collect();
        for algorithm in ALL {
            let expected = naive(&messages, algorithm);
            assert_eq!(told(&messages, algorithm), expected, "round {round}, {algorithm:?}: {messages:#?}");
        }
    }
}

#[test]
fn the_example_of_nested_threads() {
    // rfc5256#4: (2)(3 6 (4 23)(44 7 96)), with our numbers, and a parent that does not match
    let message = |id: u64, references: &[u64], sent_s| Message {
        id,
        references: references.to_vec(),
        sent_s,
        ..Message::default()
    };
    let messages = [
        message(1, &[], 1),
        message(2, &[], 2),
        message(3, &[2], 3),
        message(4, &[2, 3], 4),
        message(5, &[2, 3, 4], 5),
        message(6, &[2, 3], 6),
        message(7, &[6], 7),
        message(8, &[7], 8),
        message(9, &[99], 9),
        message(10, &[99], 10),
    ];
    assert_eq!(told(&messages, Threading::References), "(1)(2 3 (4 5)(6 7 8))((9)(10))");
    assert_eq!(told(&messages, Threading::Refs), "(1)(2 3 (4 5)(6 7 8))((9)(10))");
    assert_eq!(told(&messages, Threading::OrderedSubject), "(1 (2)(3)(4)(5)(6)(7)(8)(9)(10))");
    assert_eq!(told(&[], Threading::References), "");
}

#[test]
fn hostile_chains_are_linear() {
    const COUNT: u64 = 60_000;
    let chain = |references: &dyn Fn(u64) -> Vec<u64>| -> Vec<Message> {
        let message =
            |id| Message { id, references: references(id), sent_s: id as i64, ..Message::default() };
        (1..=COUNT).map(message).collect()
    };
    // Each answers the one before: one thread as deep as it is long, without a parenthesis inside.
    let deep =
        told(&chain(&|id| vec![id - 1].into_iter().filter(|&id| id > 0).collect()), Threading::References);
    assert!(deep.starts_with("(1 2 3 ") && deep.matches('(').count() == 1);
    // The same from the other end.
    let reversed = told(&chain(&|id| vec![id + 1]), Threading::Refs);
    assert!(reversed.starts_with("(60000 59999 ") && reversed.matches('(').count() == 1);
    // All the way through messages that are not there.
    let through = |id: u64| (0..20).map(|step| 1_000_000 + id * 19 + step).collect();
    assert_eq!(told(&chain(&through), Threading::Refs).matches('(').count(), COUNT as usize + 1);
}
