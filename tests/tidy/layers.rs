//! Which folder may name which: the table is DESIGN's diagram.
//!
//! *Owns*: the table. *Promises*: the first match by path decides. *Assumes*: modules are named by `crate::`
//! or by the crate's name, as rustfmt and the compiler leave them. *Never*: lets a folder name what stands
//! above it.

use crate::source::Source;

/// A folder, and the words that must not stand in its code.
struct Wall {
    folder: &'static str,
    forbidden: &'static [(&'static str, &'static str)],
}

const NO_WORLD: &[(&str, &str)] = &[
    ("std::fs", "ask for I/O by an effect"),
    ("std::net::Tcp", "ask for I/O by an effect"),
    ("std::net::Unix", "ask for I/O by an effect"),
    ("std::thread", "threads belong to runtime/"),
    ("std::env", "settings come as arguments"),
    ("std::time", "time comes as `Now`"),
    ("async ", "run to completion; waiting is a state"),
    (".await;", "run to completion; waiting is a state"),
    (".await?", "run to completion; waiting is a state"),
    (".await)", "run to completion; waiting is a state"),
    ("unsafe ", "unsafe belongs to sys/"),
    ("HashMap", "order must not depend on a random state: BTreeMap or Vec"),
    ("HashSet", "order must not depend on a random state: BTreeSet or Vec"),
    ("println!", "return a log line"),
    ("getrandom", "randomness comes as an argument"),
];

const PLAIN_OWNERSHIP: &[(&str, &str)] = &[
    ("Rc<", "plain ownership; Bytes is the only shared thing"),
    ("RefCell", "plain ownership; Bytes is the only shared thing"),
    ("Arc<", "plain ownership; Bytes is the only shared thing"),
    ("Mutex", "plain ownership; Bytes is the only shared thing"),
    ("OnceLock", "plain ownership; Bytes is the only shared thing"),
];

const WALLS: &[Wall] = &[
    Wall {
        folder: "engine/src/",
        forbidden: &[("tokio", "the engine asks, the runtime does"), ("libc", "as above")],
    },
    Wall {
        folder: "src/proto/",
        forbidden: &[
            ("crate::shard", "a session does not know who runs it"),
            ("crate::runtime", "a session does not know who runs it"),
            ("crate::sys", "a session does not know who runs it"),
            ("crate::admin", "a session does not know who runs it"),
            ("crate::config", "a session is told by `Server`"),
        ],
    },
    Wall {
        folder: "src/shard/",
        forbidden: &[
            ("crate::runtime", "a shard says what to do by effects"),
            ("crate::sys", "a shard says what to do by effects"),
            ("crate::config", "a shard is told by `Server`"),
        ],
    },
    Wall {
        folder: "src/sys/",
        forbidden: &[("crate::proto", "a leaf"), ("crate::shard", "a leaf"), ("crate::runtime", "a leaf")],
    },
    Wall {
        folder: "src/runtime/",
        forbidden: &[("crate::admin", "the control thread calls us"), ("crate::config", "a plan comes in")],
    },
];

/// Judges one source.
pub fn check(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    if source.is_test() {
        return found;
    }
    let pure =
        ["engine/src/", "src/proto/", "src/shard/"].iter().any(|folder| source.path.starts_with(folder));
    let wall = WALLS.iter().find(|wall| source.path.starts_with(wall.folder));
    let mut forbidden: Vec<(&str, &str)> = wall.map(|wall| wall.forbidden.to_vec()).unwrap_or_default();
    if pure {
        forbidden.extend(NO_WORLD);
        // The fake disk is shared between a store and the simulation that breaks it.
        if !source.path.starts_with("engine/src/testing/") {
            forbidden.extend(PLAIN_OWNERSHIP);
        }
    }
    if !source.path.starts_with("src/runtime/") && !source.path.starts_with("bench/") {
        forbidden.push(("tokio_uring", "only runtime/ drives the ring"));
        forbidden.push(("rustls::", "only runtime/ speaks TLS"));
    }
    if !source.path.starts_with("src/sys/") {
        forbidden.push(("unsafe {", "unsafe belongs to src/sys/"));
        forbidden.push(("unsafe impl", "unsafe belongs to src/sys/"));
    }
    for (number, code) in source.code() {
        for (word, remedy) in &forbidden {
            if code.contains(word) {
                found.push(format!("{}:{number}: names {word:?}: {remedy}", source.path));
            }
        }
    }
    found
}
