//! Trees that are linked and cut, and whose roots are asked for (rfc5256#3 REFERENCES, step 1: no loops).
//!
//! *Owns*: who is below whom. *Promises*: every call costs the logarithm of the forest on average, whatever
//! the trees look like: each path from a root is a splay tree (Sleator and Tarjan's dynamic trees). *Assumes*:
//! indices of nodes that were added. *Never*: recurses.

use crate::proto::imap::cmd::search::room::release;

/// No node.
pub const NONE: u32 = u32::MAX;

/// See the module. A node's `left` are those of its path that are nearer to the root.
#[derive(Debug, Default)]
pub struct Forest {
    nodes: Vec<Node>,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    /// The parent in the splay tree; of a splay tree's root, the parent in the forest of its path's top.
    up: u32,
    left: u32,
    right: u32,
}

impl Forest {
    /// Adds a tree of one node, whose index is how many there were before.
    pub fn add(&mut self) {
        self.nodes.push(Node { up: NONE, left: NONE, right: NONE });
    }

    /// Makes room for so many nodes before they come.
    pub fn expect(&mut self, count: usize) {
        self.nodes.reserve_exact(count);
    }

    /// Forgets a piece of it, when nothing is asked any more. Whether there is more.
    pub fn release(&mut self) -> bool {
        release(&mut self.nodes)
    }

    /// Makes the tree with root `child` a branch of `parent`, which is in another tree.
    pub fn link(&mut self, child: u32, parent: u32) {
        self.access(child);
        self.nodes[child as usize].up = parent;
    }

    /// Makes what is below a node, itself included, a tree of its own.
    pub fn cut(&mut self, node: u32) {
        self.access(node);
        let above = std::mem::replace(&mut self.nodes[node as usize].left, NONE);
        if above != NONE {
            self.nodes[above as usize].up = NONE;
        }
    }

    /// The root of a node's tree.
    pub fn root(&mut self, node: u32) -> u32 {
        self.access(node);
        let mut root = node;
        while self.nodes[root as usize].left != NONE {
            root = self.nodes[root as usize].left;
        }
        self.splay(root);
        root
    }

    /// Makes the way from the root to `node` one path, with `node` at the top of its splay tree.
    fn access(&mut self, node: u32) {
        let (mut below, mut at) = (NONE, node);
        while at != NONE {
            self.splay(at);
            self.nodes[at as usize].right = below;
            below = at;
            at = self.nodes[at as usize].up;
        }
        self.splay(node);
    }

    fn splay(&mut self, node: u32) {
        while let Some(parent) = self.splay_parent(node) {
            if let Some(grandparent) = self.splay_parent(parent) {
                let straight = self.is_left(node, parent) == self.is_left(parent, grandparent);
                self.rotate(if straight { parent } else { node });
            }
            self.rotate(node);
        }
    }

    fn splay_parent(&self, node: u32) -> Option<u32> {
        let up = self.nodes[node as usize].up;
        let parent = self.nodes.get(up as usize)?;
        (parent.left == node || parent.right == node).then_some(up)
    }

    fn is_left(&self, node: u32, parent: u32) -> bool {
        self.nodes[parent as usize].left == node
    }

    /// Lifts a node above its parent in the splay tree.
    fn rotate(&mut self, node: u32) {
        let Some(parent) = self.splay_parent(node) else { return };
        let grandparent = self.splay_parent(parent);
        let left = self.is_left(node, parent);
        let middle = if left { self.nodes[node as usize].right } else { self.nodes[node as usize].left };
        if let Some(grandparent) = grandparent {
            let above = &mut self.nodes[grandparent as usize];
            *(if above.left == parent { &mut above.left } else { &mut above.right }) = node;
        }
        self.nodes[node as usize].up = self.nodes[parent as usize].up;
        self.nodes[parent as usize].up = node;
        if left {
            self.nodes[node as usize].right = parent;
            self.nodes[parent as usize].left = middle;
        } else {
            self.nodes[node as usize].left = parent;
            self.nodes[parent as usize].right = middle;
        }
        if let Some(middle) = self.nodes.get_mut(middle as usize) {
            middle.up = parent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_those_of_a_naive_forest() {
        const NODES: u32 = 40;
        let mut forest = Forest::default();
        (0..NODES).for_each(|_| forest.add());
        let mut parents = vec![NONE; NODES as usize];
        let root = |parents: &[u32], mut node: u32| {
            while parents[node as usize] != NONE {
                node = parents[node as usize];
            }
            node
        };
        let mut state = 3u64;
        let mut next = |below: u32| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % u64::from(below)) as u32
        };
        let (mut links, mut cuts) = (0, 0);
        for _ in 0..20_000 {
            let (one, other) = (next(NODES), next(NODES));
            assert_eq!(forest.root(one), root(&parents, one));
            if parents[one as usize] != NONE && next(3) == 0 {
                forest.cut(one);
                parents[one as usize] = NONE;
                cuts += 1;
            } else if parents[one as usize] == NONE && root(&parents, other) != one {
                forest.link(one, other);
                parents[one as usize] = other;
                links += 1;
            }
        }
        assert!(links > 1_000 && cuts > 1_000, "{links} {cuts}");
    }

    #[test]
    fn a_path_of_a_million_is_no_matter() {
        let mut forest = Forest::default();
        forest.add();
        for node in 1..1_000_000 {
            forest.add();
            forest.link(node, node - 1);
        }
        assert_eq!(forest.root(999_999), 0);
        forest.cut(500_000);
        assert_eq!((forest.root(999_999), forest.root(499_999)), (500_000, 0));
    }
}
