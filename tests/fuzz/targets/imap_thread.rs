//! THREAD by references makes of a generated mailbox what the steps of RFC 5256, followed one by one, make of
//! it.

use std::collections::BTreeMap;

use ringpost::proto::mime::keys::base_subject;

use super::choices::Choices;
use super::mails::{Mail, ask, mailbox};

/// Builds a mailbox and asks for all of it and for a part of it.
pub fn run(octets: &[u8]) {
    let mut choices = Choices(octets);
    let (mut world, mails) = mailbox(&mut choices);
    for key in ["ALL", "UNFLAGGED"] {
        let searched: Vec<usize> = (0..mails.len())
            .filter(|&index| key == "ALL" || !mails[index].flags.contains(&"\\Flagged"))
            .collect();
        let wanted = Threads::of(&mails, &searched).show();
        let heard = ask(&mut world, &format!("THREAD REFERENCES UTF-8 {key}"));
        assert!(heard.starts_with(&format!("* THREAD{wanted}\r\ns OK")), "{key}: {heard}, not {wanted}");
    }
}

/// A message, or a dummy for one that is only referred to.
struct Node {
    mail: Option<usize>,
    parent: Option<usize>,
    children: Vec<usize>,
}

/// The forest while it is built.
struct Threads<'m> {
    mails: &'m [Mail],
    nodes: Vec<Node>,
    top: Vec<usize>,
}

impl<'m> Threads<'m> {
    /// The steps of rfc5256#3, REFERENCES.
    fn of(mails: &'m [Mail], searched: &[usize]) -> Threads<'m> {
        let mut threads = Threads { mails, nodes: Vec::new(), top: Vec::new() };
        threads.link(searched);
        threads.top = (0..threads.nodes.len()).filter(|&node| threads.nodes[node].parent.is_none()).collect();
        threads.prune();
        threads.sort_top();
        threads.merge();
        let top = std::mem::take(&mut threads.top);
        top.iter().for_each(|&node| threads.sort_below(node));
        threads.top = top;
        threads.sort_top();
        threads
    }

    fn add(&mut self, mail: Option<usize>) -> usize {
        self.nodes.push(Node { mail, parent: None, children: Vec::new() });
        self.nodes.len() - 1
    }

    /// (1)
    fn link(&mut self, searched: &[usize]) {
        let mut ids: BTreeMap<usize, usize> = BTreeMap::new();
        // Who has an id is known before the first reference is followed.
        let own: Vec<usize> = searched
            .iter()
            .map(|&index| {
                let node = self.add(Some(index));
                ids.entry(self.mails[index].id).or_insert(node);
                node
            })
            .collect();
        for (&index, &node) in searched.iter().zip(&own) {
            let mut before = None;
            for id in &self.mails[index].references {
                let referred = match ids.get(id) {
                    Some(&known) => known,
                    None => {
                        let dummy = self.add(None);
                        ids.insert(*id, dummy);
                        dummy
                    }
                };
                if let Some(parent) = before
                    && self.nodes[referred].parent.is_none()
                {
                    self.adopt(parent, referred);
                }
                before = Some(referred);
            }
            // (B)
            self.orphan(node);
            if let Some(parent) = before {
                self.adopt(parent, node);
            }
        }
    }

    /// Makes a link unless it would close a loop.
    fn adopt(&mut self, parent: usize, child: usize) {
        let mut above = Some(parent);
        while let Some(node) = above {
            if node == child {
                return;
            }
            above = self.nodes[node].parent;
        }
        self.nodes[child].parent = Some(parent);
        self.nodes[parent].children.push(child);
    }

    fn orphan(&mut self, child: usize) {
        if let Some(parent) = self.nodes[child].parent.take() {
            self.nodes[parent].children.retain(|&other| other != child);
        }
    }

    /// (3)
    fn prune(&mut self) {
        let top = std::mem::take(&mut self.top);
        for node in top {
            let kept = self.pruned(node);
            // A dummy at the top with several children stays.
            match kept.len() {
                0 | 1 => self.top.extend(kept),
                _ => {
                    self.nodes[node].children = kept;
                    self.top.push(node);
                }
            }
        }
    }

    /// What takes the place of a node: itself, or its children if it is a dummy.
    fn pruned(&mut self, node: usize) -> Vec<usize> {
        let children = std::mem::take(&mut self.nodes[node].children);
        let kept: Vec<usize> = children.into_iter().flat_map(|child| self.pruned(child)).collect();
        if self.nodes[node].mail.is_none() {
            return kept;
        }
        self.nodes[node].children = kept;
        vec![node]
    }

    /// The message that speaks for a node: a dummy's first child.
    fn speaker(&self, node: usize) -> usize {
        let first = |node: usize| self.nodes[node].mail.expect("only the top has dummies");
        self.nodes[node].mail.unwrap_or_else(|| first(self.nodes[node].children[0]))
    }

    fn sent(&self, node: usize) -> (usize, usize) {
        let index = self.speaker(node);
        (self.mails[index].sent_day, index)
    }

    fn sort_children(&mut self, node: usize) {
        let mut children = std::mem::take(&mut self.nodes[node].children);
        children.sort_by_key(|&child| self.sent(child));
        self.nodes[node].children = children;
    }

    /// (4)
    fn sort_top(&mut self) {
        let mut top = std::mem::take(&mut self.top);
        for &node in &top {
            if self.nodes[node].mail.is_none() {
                self.sort_children(node);
            }
        }
        top.sort_by_key(|&node| self.sent(node));
        self.top = top;
    }

    /// (6)
    fn sort_below(&mut self, node: usize) {
        self.nodes[node].children.clone().into_iter().for_each(|child| self.sort_below(child));
        self.sort_children(node);
    }

    /// (5): the subject of a thread, and whether the message at its top is a reply or forward.
    fn subject(&self, node: usize) -> (String, bool) {
        let (base, is_reply) = base_subject(self.mails[self.speaker(node)].subject);
        (base.to_uppercase(), is_reply)
    }

    fn is_dummy(&self, node: usize) -> bool {
        self.nodes[node].mail.is_none()
    }

    /// (5)
    fn merge(&mut self) {
        let mut table: BTreeMap<String, usize> = BTreeMap::new();
        for &node in &self.top {
            let (subject, is_reply) = self.subject(node);
            match table.get(&subject) {
                Some(&there) => {
                    let better = self.is_dummy(node) || self.subject(there).1 && !is_reply;
                    if !self.is_dummy(there) && better {
                        table.insert(subject, node);
                    }
                }
                None => drop(table.insert(subject, node)),
            }
        }
        for node in self.top.clone() {
            let (subject, is_reply) = self.subject(node);
            let there = table[&subject];
            if there == node {
                continue;
            }
            self.top.retain(|&other| other != node);
            if self.is_dummy(there) && self.is_dummy(node) {
                let children = std::mem::take(&mut self.nodes[node].children);
                self.nodes[there].children.extend(children);
            } else if self.is_dummy(there) || is_reply && !self.subject(there).1 {
                self.nodes[there].children.push(node);
            } else {
                self.top.retain(|&other| other != there);
                let dummy = self.add(None);
                self.nodes[dummy].children = vec![there, node];
                self.top.push(dummy);
                table.insert(subject, dummy);
            }
        }
    }

    /// The answer behind `* THREAD`.
    fn show(&self) -> String {
        let shown: String = self.top.iter().map(|&node| format!("({})", self.members(node))).collect();
        if shown.is_empty() { shown } else { format!(" {shown}") }
    }

    fn members(&self, node: usize) -> String {
        let children = &self.nodes[node].children;
        let own = self.nodes[node].mail.map(|index| (index + 1).to_string());
        let below = match children[..] {
            [] => None,
            [only] => Some(self.members(only)),
            _ => Some(children.iter().map(|&child| format!("({})", self.members(child))).collect()),
        };
        [own, below].into_iter().flatten().collect::<Vec<String>>().join(" ")
    }
}
